"""BibTeX entries of a report's methods, backbones, encoders and data sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from bench.components import BACKBONES, ENCODERS, METHODS, VARIANT_MARK
from bench.errors import BenchError
from bench.plan.data_card import load_card
from bench.plan.method_card import find
from bench.reports.tables.build import ReportData
from bench.reports.tables.markup import LATEX, one_line

_SENTENCE = re.compile(r"(?<!\b[A-Z])\. ")
"""End of a part of a citation; a point after a single capital ends an initial."""
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_DOI = "https://doi.org/"
_ADDRESS = re.compile(r"https?://\S+")
_MEETING = re.compile(r"[A-Z][A-Za-z]*[A-Z]\w* (?:19|20)\d\d")


@dataclass(frozen=True)
class Reference:
    r"""One entry.

    Attributes
    ----------
    key
        For ``\cite``: the name of the first component that has it.
    citation
        Authors, title, venue and year, separated by full stops; authors by commas.
    url, doi
        Empty if unknown.
    """

    key: str
    citation: str
    url: str = ""
    doi: str = ""

    def bibtex(self) -> str:
        """Write the entry; what cannot be told apart is in its ``note``."""
        text = one_line(_ADDRESS.sub("", self.citation)).rstrip(". ")
        parts = _SENTENCE.split(text)
        year = _YEAR.search(parts[-1]) or _YEAR.search(text)
        fields = {"author": "", "title": "", "year": year.group() if year else ""}
        place = next((n for n, part in enumerate(parts) if n and _YEAR.search(part)), None)
        kind = "misc"
        if place is None or place > 2:  # not authors, title, venue
            fields["note"] = text
        else:
            fields["title"] = parts[place - 1]
            fields["author"] = _authors(parts[0]) if place == 2 else ""
            venue = "howpublished"
            if _MEETING.match(parts[place]):
                kind, venue = "inproceedings", "booktitle"
            fields[venue] = ". ".join(parts[place:])
        fields = {name: LATEX.escape(value) for name, value in fields.items()}
        if fields["title"]:
            fields["title"] = f"{{{fields['title']}}}"  # keep its capitals
        fields |= self._links()
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items() if value)
        return f"@{kind}{{{self.key},\n{lines}}}\n"

    def _links(self) -> dict[str, str]:
        address = _ADDRESS.search(self.citation)
        url = self.url or (address.group() if address else "")
        if url.startswith(_DOI):
            return {"doi": url.removeprefix(_DOI)}
        return {"doi": self.doi, "url": url}


def _authors(text: str) -> str:
    names = [name.strip() for name in text.removesuffix(" et al").split(",")]
    return " and ".join([*names, *(["others"] if text.endswith(" et al") else [])])


def references(data: ReportData) -> list[Reference]:
    """Collect what a report must cite, each source once; components without one are left out."""
    found: dict[str, Reference] = {}
    for reference in _all(data):
        if _YEAR.search(reference.citation):
            found.setdefault(reference.citation, reference)
    return list(found.values())


def _all(data: ReportData) -> Iterator[Reference]:
    rows = [row for block in data.blocks for row in block.finished]
    for name in dict.fromkeys(row.family for row in rows):
        try:
            card, entry = find(name), METHODS.get(name)
        except BenchError:  # not installed here
            continue
        paper = card.paper if card else None
        citation = card.citation if card else entry.citation
        yield Reference(name, citation, paper.url if paper else "", paper.doi if paper else "")
    for registry, place in ((BACKBONES, 0), (ENCODERS, 2)):
        names: Iterable[str | None] = (row.identity[place] for row in rows)
        for full in dict.fromkeys(filter(None, names)):
            name = full.partition(VARIANT_MARK)[0]
            with suppress(BenchError):
                yield Reference(name, registry.get(name).citation)
    for block in data.blocks:
        with suppress(BenchError):
            yield Reference(block.dataset, load_card(block.source).citation)
