"""The handler that writes a row, with others in one transaction."""

from app.handlers import on_message
from bench.subjects.note import insert_row

on_message(grouped=True)(insert_row)
