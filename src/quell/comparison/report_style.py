"""How the HTML report looks, on a screen and on A4."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 57rem; color: #1a1a1a; background: #fff;
  font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid #ccc; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .6rem 0; }
p, dd, figcaption, ul.notes { max-width: 50rem; }
p.main { padding: .7rem .9rem; border-left: .25rem solid #0072B2; background: #f2f7fb; }
dl { margin: .6rem 0; }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem 1.2rem; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .925rem; }
dl.facts dt { color: #555; font-weight: 400; }
dl.facts dd { margin: 0; min-width: 0; }
figure { margin: 1.2rem 0; }
figcaption, caption { text-align: left; font-size: .875rem; line-height: 1.4; color: #333; }
figcaption { margin-top: .4rem; }
caption { padding-bottom: .4rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid #0072B2; }
figure img { display: block; height: auto; }
table { border-collapse: collapse; font-size: .8rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
thead { border-top: 1.5px solid #000; border-bottom: 1px solid #000; }
tbody { border-bottom: 1px solid #bbb; }
tbody:last-of-type { border-bottom: 1.5px solid #000; }
th, td { padding: .22rem .6rem .22rem 0; text-align: right; vertical-align: baseline; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-weight: 600; vertical-align: bottom; white-space: normal; }
tbody th { font-weight: 400; }
.left { text-align: left; }
.name { white-space: normal; min-width: 8em; max-width: 20em; }
ul.notes { margin: .4rem 0 1rem; padding-left: 1.1rem; font-size: .85rem; line-height: 1.4; color: #333; }
pre { margin: .2rem 0 1rem; padding: .6rem .8rem; background: #f5f5f5; font: .8rem/1.4 ui-monospace, Menlo, Consolas,
  "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
footer { margin-top: 2.5rem; font-size: .8rem; color: #555; }
@media (max-width: 36rem) {
  body { padding: 1rem .8rem 3rem; }
  h1 { font-size: 1.4rem; }
  dl.facts { display: block; }
  dl.facts dd { margin-bottom: .4rem; }
}
@page { size: A4; margin: 18mm 20mm 18mm 20mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; line-height: 1.4; }
  h1 { font-size: 16pt; }
  h2 { font-size: 12pt; break-after: avoid; margin-top: 14pt; }
  h3 { font-size: 10pt; break-after: avoid; }
  p.main { background: none; }
  .scroll { overflow: visible; }
  figure, tr, tbody, dd, p, table.whole { break-inside: avoid; }
  dt { break-after: avoid; }
  thead { display: table-header-group; }
  table { font-size: 7.5pt; }
  th, td { padding: .09rem .5em .09rem 0; }
  .name { min-width: 0; max-width: 24em; }
  figure img { max-width: 100%; max-height: 225mm; }
  pre { font-size: 7.5pt; border: .5pt solid #ccc; background: none; }
  figcaption, caption, ul.notes { font-size: 8pt; }
}
""".lstrip()
