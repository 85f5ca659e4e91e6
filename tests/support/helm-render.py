"""Renders a chart by Helm's own code: CHART NAME, with values as JSON on standard input."""

import json
import sys

import helm_python as helm

chart, name = sys.argv[1:]
values = json.load(sys.stdin)
report = helm.lint(chart, values, strict=True)
for message in report["messages"]:
    # 2 is a warning, 3 an error.
    if message["severity"] >= 2:
        sys.exit(message["error"])
if report["errors"]:
    sys.exit("\n".join(report["errors"]))
try:
    with helm.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        rendered = loaded.render(values, name=name, namespace="mirror")
except helm.HelmError as error:
    sys.exit(str(error))
for path, text in rendered.items():
    print(f"---\n# {path}\n{text}")
