"""How the report looks: light or dark as the reader's system is, on a narrow screen, on paper.

In Python, for of _utils Salt syncs nothing else.
"""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --panel: #f4f6f8; --ink: #1b2026; --soft: #5a6570; --line: #d5dbe1;
  --step: #41698f; --state: #7fa8cf; --rest: #c3ccd5; --bad: #b3261e; --bad-paper: #fdf0ef; --good: #1d6b3a; --warn: #8a5a00;
  --base: #cfd8e1; --on-base: #1b2026; --added: #2d6aa8; --on-added: #fff; --unowned: #e2b65a; --on-unowned: #241a05;
  --depth0: #dde4ea; --depth1: #c6d5e3; --depth2: #b0c7dc; --depth3: #9bb9d4; --depth4: #88acce; --on-depth: #16202a; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --panel: #1c2228; --ink: #e3e7eb; --soft: #9aa6b2; --line: #343d46;
  --step: #6fa3d6; --state: #3f6f9d; --rest: #414c57; --bad: #ff8a80; --bad-paper: #33191a; --good: #7fd39b; --warn: #e6b450;
  --base: #36424e; --on-base: #e3e7eb; --added: #2f6ba6; --on-added: #fff; --unowned: #82600f; --on-unowned: #fff3d9;
  --depth0: #262f38; --depth1: #2c3d4e; --depth2: #324c65; --depth3: #395b7c; --depth4: #416b93; --on-depth: #e3e7eb; } }
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; }
main { max-width: 1188px; margin: 0 auto; padding: 20px 24px 60px; overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 2px; }
h2 { font-size: 1.25rem; margin: 0 0 10px; }
h3 { font-size: 1rem; margin: 18px 0 6px; }
p { margin: 6px 0; }
small { color: var(--soft); font-weight: normal; font-size: .85em; }
code, pre { font-family: ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Consolas, monospace; font-size: .84em; }
a { color: inherit; text-decoration-color: var(--state); text-underline-offset: 3px; }
section { border-top: 1px solid var(--line); margin-top: 26px; padding-top: 18px; }
.outcome { font-size: .8rem; font-weight: 600; vertical-align: middle; border: 1.5px solid; border-radius: 99px; padding: 2px 10px; }
.done { color: var(--good); } .outcome.failed, .bad { color: var(--bad); } .unfinished { color: var(--warn); }
.figures { list-style: none; display: flex; flex-wrap: wrap; gap: 8px; margin: 14px 0; padding: 0; }
.figures li { background: var(--panel); border-radius: 6px; padding: 6px 12px; color: var(--soft); font-size: .85rem; }
.figures b { display: block; font-size: 1.15rem; color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0; }
dt { color: var(--soft); } dd { margin: 0; } dd small { display: block; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 16px; }
.failures { border: 1.5px solid var(--bad); border-radius: 8px; background: var(--bad-paper); padding: 16px 18px; }
.failures h2 { color: var(--bad); } .failures h3 { margin-top: 14px; }
.said { border-left: 3px solid var(--bad); padding-left: 12px; }
pre { white-space: pre-wrap; margin: 6px 0; }
pre.log { background: var(--panel); border-radius: 6px; padding: 10px 12px; max-height: 34rem; overflow: auto; }
pre.end { max-height: none; }
mark { background: none; color: var(--bad); font-weight: 600; } mark:target { outline: 2px solid var(--bad); }
.timeline { list-style: none; margin: 0; padding: 0; }
.timeline li { display: grid; grid-template-columns: minmax(120px, 290px) 1fr 110px; gap: 0 12px; align-items: center; min-height: 22px; }
.timeline .what { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar { width: 100%; height: 22px; display: block; overflow: hidden; }
.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.step .what { font-weight: 600; }
.state .what, .rest .what { padding-left: 16px; font-size: .88rem; } .rest .what { color: var(--soft); }
.state .figure, .rest .figure { font-size: .88rem; color: var(--soft); }
.step rect { fill: var(--step); } .state rect { fill: var(--state); } .rest rect { fill: var(--rest); } li.failed rect { fill: var(--bad); }
.axis text { fill: var(--soft); font-size: 11px; } .bar line { stroke: var(--line); }
.treemap { width: 100%; display: block; font-size: 11.5px; } .wide { height: 520px; } .narrow { height: 620px; display: none; }
.tile > rect { stroke: var(--paper); stroke-width: 1.5; } .tile > text { fill: var(--on-depth); } .tile .size { opacity: .85; }
.base > rect { fill: var(--base); } .base > text { fill: var(--on-base); }
.added > rect { fill: var(--added); } .added > text { fill: var(--on-added); }
.unowned > rect { fill: var(--unowned); } .unowned > text { fill: var(--on-unowned); }
.depth0 > rect { fill: var(--depth0); } .depth1 > rect { fill: var(--depth1); } .depth2 > rect { fill: var(--depth2); }
.depth3 > rect { fill: var(--depth3); } .depth4 > rect { fill: var(--depth4); }
.group > text { font-weight: 600; } .group .size { font-weight: 400; }
.tile:hover > rect { stroke: var(--ink); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 20px; font-size: .88rem; }
.key { display: inline-block; width: 12px; height: 12px; border-radius: 2px; vertical-align: -1px; }
.key.base { background: var(--base); } .key.added { background: var(--added); } .key.unowned { background: var(--unowned); }
.wide-table { overflow-x: auto; margin: 8px 0; }
table { border-collapse: collapse; font-size: .88rem; overflow-wrap: break-word; }
th, td { text-align: left; vertical-align: top; padding: 3px 18px 3px 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } th.figure, td.figure { text-align: right; } td { min-width: 1.2em; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--soft); } summary:hover { color: var(--ink); }
@media (max-width: 700px) { main { padding: 14px 14px 40px; } .wide { display: none; } .narrow { display: block; }
  .timeline li { grid-template-columns: 1fr max-content; }
  .timeline .bar { grid-row: 2; grid-column: 1 / 3; margin-bottom: 5px; height: 14px; }
  .timeline .axis { display: none; } dl { grid-template-columns: 1fr; } dd { margin-bottom: 6px; } th, td { padding-right: 10px; } }
@media print { :root { color-scheme: light; } html { font-size: 11px; } main { padding: 0; max-width: none; } nav { display: none; }
  rect, .key, .figures li, pre.log { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3 { break-after: avoid; } .treemap, li, tr, article { break-inside: avoid; } pre.log { max-height: none; } #log details { display: none; } }
"""
