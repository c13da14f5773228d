#!/usr/bin/python3
"""Counts the tests in the JUnit files of a directory: prints "PASSED FAILED SKIPPED"."""

import pathlib
import sys
import xml.etree.ElementTree


def count(directory):
    passed = failed = skipped = 0
    for path in sorted(pathlib.Path(directory).rglob("*.xml")):
        try:
            cases = list(xml.etree.ElementTree.parse(path).iter("testcase"))
        except xml.etree.ElementTree.ParseError as error:
            print("%s: %s" % (path, error), file=sys.stderr)
            failed += 1
            continue
        for case in cases:
            children = {child.tag for child in case}
            if children & {"failure", "error"} or case.get("status") == "fail":
                failed += 1
            elif "skipped" in children or case.get("status") in ("notrun", "disabled"):
                skipped += 1
            else:
                passed += 1
    return passed, failed, skipped


if __name__ == "__main__":
    print(*count(sys.argv[1]))
