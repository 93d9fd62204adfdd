#!/bin/sh
# Prepares storage and database before the processes of the platform start. Safe to run again.
set -eu
python - <<'PYTHON'
import json, os
import boto3
from botocore.exceptions import ClientError

options = json.loads(os.environ["STORAGE_OPTIONS"])
s3 = boto3.client(
    "s3",
    endpoint_url=options["endpoint_url"],
    region_name=options["region_name"],
    aws_access_key_id=options["access_key"],
    aws_secret_access_key=options["secret_key"],
)
try:
    s3.head_bucket(Bucket=options["bucket_name"])
except ClientError:
    s3.create_bucket(Bucket=options["bucket_name"])
PYTHON
python manage.py migrate --verbosity 0
python manage.py collectstatic --verbosity 0 --no-input
for name in ${RUNNERS:-runner-1 runner-2}; do
  python manage.py register_runner "$name" "http://$name:9000"
done
python manage.py scan_models
