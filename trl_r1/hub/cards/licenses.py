"""Licences as the Hub takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from trl_r1.hub.cards.markdown import one_line


# Identifiers of https://huggingface.co/docs/hub/repositories-licenses; others are `other`, with a name and a link
_IDENTIFIERS: Final = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown
other
"""
HUB_LICENSES: Final = frozenset(_IDENTIFIERS.split())


def license_fields(license: str | None, bases: Sequence[str]) -> dict[str, Any]:
    """
    A licence as the Hub takes it.

    Args:
        license (`str` or `None`):
            Any name; `None` gives no field, for a licence is not for us to invent.
        bases (`Sequence[str]`):
            Base models on the Hub: where a licence without an identifier of the Hub is to be read.

    Returns:
        `dict[str, Any]`: `license`, and for one that is no identifier `license_name` and `license_link`.
    """
    if not license:
        return {}
    name = one_line(license).lower()
    if name in HUB_LICENSES - {"other"}:
        return {"license": name}
    if name == "other":
        name = f"{bases[0].rpartition('/')[2]}-license" if bases else "not-named"
    fields = {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or "not-named"}
    return fields | ({"license_link": f"https://huggingface.co/{bases[0]}"} if bases else {})
