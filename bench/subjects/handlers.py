"""Neverdrop's side of the comparison: a handler that writes a row, in a transaction of its own."""

from app.handlers import on_message
from bench.subjects.note import insert_row

on_message()(insert_row)
