"""Telemedicine at the post office: the server. One folder a step of the patient's journey; see journey.py."""
