#!/usr/bin/python3
"""Counts the tests in the JUnit files of a directory: prints "PASSED FAILED SKIPPED".

With --failed first, it prints the names of those that failed instead, one a line: "STEP: TEST".
"""

import pathlib
import sys
import xml.etree.ElementTree


def cases(directory):
    """Yields (path, "passed" | "failed" | "skipped", name); a file that cannot be read is a test that failed."""
    for path in sorted(pathlib.Path(directory).rglob("*.xml")):
        try:
            found = list(xml.etree.ElementTree.parse(path).iter("testcase"))
        except xml.etree.ElementTree.ParseError as error:
            print("%s: %s" % (path, error), file=sys.stderr)
            yield path, "failed", path.name
            continue
        for case in found:
            children = {child.tag for child in case}
            if children & {"failure", "error"} or case.get("status") == "fail":
                result = "failed"
            elif "skipped" in children or case.get("status") in ("notrun", "disabled"):
                result = "skipped"
            else:
                result = "passed"
            yield path, result, case.get("name")


def count(directory):
    results = [result for _, result, _ in cases(directory)]
    return [results.count(result) for result in ("passed", "failed", "skipped")]


def failed(directory):
    for path, result, name in cases(directory):
        if result == "failed":
            yield "%s: %s" % (path.relative_to(directory).parts[0], name)


if __name__ == "__main__":
    if sys.argv[1] == "--failed":
        print(*failed(sys.argv[2]), sep="\n")
    else:
        print(*count(sys.argv[1]))
