"""Singular and plural."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def do_not(number: int) -> str:
    return "does not" if number == 1 else "do not"
