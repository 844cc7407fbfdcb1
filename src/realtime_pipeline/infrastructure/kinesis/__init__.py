"""Adapters for Amazon Kinesis. Only this folder imports boto3."""
