"""ControlNets of the newer families, from the scan of a folder to an image."""

import pytest

from gpu_runner.protocol import ModelFile as SentFile
from gpu_runner.protocol import RunRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.values import InputImage
from jobs.admission.admit import admit
from jobs.errors import Unsupported
from models_registry.models import Kind, ModelFile
from models_registry.scanning.scan import scan
from tests.support import flow_models
from tests.support.demo_engine import Drawing, Studio
from tests.support.flow_controlnets import write_controlnet

pytestmark = pytest.mark.slow
