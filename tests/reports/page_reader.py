"""HTML as its tags, links and tables."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects tags, addresses and the text of every cell, table by table."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.links, self.tables, self._open = [], [], [], False
        self.feed(page)

    @property
    def cells(self):
        return [cell for table in self.tables for row in table for cell in row]

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in {"src", "href"}]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self._open = True

    def handle_endtag(self, tag):
        self._open &= tag not in {"td", "th"}

    def handle_data(self, data):
        if self._open:
            self.tables[-1][-1][-1] += data
