"""Bots to start from: ``HANDLERS=examples.faq make run``, then chat at http://127.0.0.1:8001."""
