PYTHON ?= python3
VENV = .venv/bin/
PYTEST = $(VENV)python -m pytest -n auto --dist loadfile --no-loadscope-reorder
PREFLIGHT = $(PYTHON) platform/quickstart/bootstrap.py

.PHONY: run test unit chaos lint format bench demo-models tour locks messages

run:  ## start everything and show a first picture
	@$(PREFLIGHT) run locks/runtime.txt

.venv-dev:
	@$(PREFLIGHT) venv locks/dev.txt

test: .venv-dev lint  ## all tests on SQLite, and those with SQL of their own on a real PostgreSQL
	$(PYTEST)
	$(VENV)python -m tests.support.postgres $(PYTEST) -m "database and postgres and not processes" \
		tests/access tests/jobs tests/models_registry tests/dialects tests/console

unit: .venv-dev  ## the quick part, without a database, in about a minute
	$(PYTEST) -m "not slow and not demo and not processes and not browser and not database"

chaos: .venv-dev  ## many random kills under load, on SQLite and PostgreSQL; CHAOS_KILLS and CHAOS_SEED choose them
	CHAOS_KILLS=$${CHAOS_KILLS:-100} $(VENV)python -m pytest tests/e2e/test_chaos.py tests/e2e/test_killed_processes.py \
		tests/e2e/test_database_restart.py

lint: .venv-dev  ## format, lint, types, migrations
	$(VENV)ruff format --check .
	$(VENV)ruff check .
	$(VENV)mypy
	SECRET_KEY=lint ATELIER_DEMO=1 RUNNER_TOKEN=lint $(VENV)python manage.py makemigrations --check --dry-run

format: .venv-dev
	$(VENV)ruff format .
	$(VENV)ruff check --fix .

bench: .venv-dev  ## ratios within one run, as a table and as JSON under bench/results
	$(VENV)python -m bench

demo-models: .venv-dev  ## train the demo models again; the longest part resumes
	$(VENV)python -m demo.train_vae
	$(VENV)python -m demo.train_text_encoder
	$(VENV)python -m demo.train_unet
	$(VENV)python -m demo.export
	$(VENV)python -m demo.make_vae
	$(VENV)python -m demo.train_lora night
	$(VENV)python -m demo.train_lora rings
	$(VENV)python -m demo.train_embedding
	$(VENV)python -m demo.train_checkpoint
	$(VENV)python -m demo.train_controlnet
	$(VENV)python -m demo.train_upscaler
	$(VENV)python -m demo.flow_matching.train
	$(VENV)python -m demo.flow_matching.export
	$(VENV)python -m demo.flow_matching.train_lora

SCREENSHOTS = var/screenshots

tour: .venv-dev  ## the screenshots of docs/tour.md, of a platform that runs (needs Chromium, and fonts-noto-cjk)
	SCREENSHOTS=$(SCREENSHOTS) REQUIRE_BROWSER=1 $(VENV)python -m pytest tests/browser
	rm -f docs/tour/*.webp
	for image in $$(grep -o 'tour/[a-z0-9-]*\.webp' docs/tour.md); do \
		cp "$(SCREENSHOTS)/$${image#tour/}" docs/tour/ || exit 1; done

messages: .venv-dev  ## translations (needs gettext)
	SECRET_KEY=messages RUNNER_TOKEN=messages $(VENV)python manage.py makemessages -l zh_Hans --no-location \
		--ignore ".venv*" --ignore "var*" --ignore "tests/*" --ignore "demo/*" --ignore "bench/*"
	msgfmt --check -o platform/locale/zh_Hans/LC_MESSAGES/django.mo platform/locale/zh_Hans/LC_MESSAGES/django.po

COMPILE = $(VENV)pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --no-header

locks: .venv-dev  ## exact versions of everything, from pyproject.toml
	$(COMPILE) --output-file locks/runtime.txt pyproject.toml
	$(COMPILE) --extra dev --constraint locks/runtime.txt --output-file locks/dev.txt pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' locks/*.txt
