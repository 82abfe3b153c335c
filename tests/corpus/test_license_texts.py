from pathlib import Path

import pytest

from hftrain.corpus.license_texts import spdx_of, stated_in, together

MIT = """MIT License

Copyright (c) 2020 Ann Lee

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, ...
{condition}
THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND"""

BSD = """Copyright (c) 2020, Ann Lee
Redistribution and use in source and binary forms, with or without modification, are permitted provided that:
1. Redistributions of source code must retain the above copyright notice.
2. Redistributions in binary form must reproduce the above copyright notice.
"""

ISC = "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is granted"


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        (
            MIT.format(condition="The above copyright notice and\nthis permission notice shall be included in all"),
            "MIT",
        ),
        (MIT.format(condition=""), "MIT-0"),
        (BSD, "BSD-2-Clause"),
        (
            BSD + "3. Neither the name ... may be used to endorse or\n promote products derived from this.",
            "BSD-3-Clause",
        ),
        (BSD + "3. All advertising materials mentioning features ... to endorse or promote", "BSD-4-Clause"),
        (ISC, "0BSD"),
        (ISC + ", provided that the above copyright notice appears in all copies.", "ISC"),
        ("Apache License\n        Version 2.0, January 2004\n", "Apache-2.0"),
        ("Licensed under the Apache License, Version 2.0 (the ...", "Apache-2.0"),
        (
            "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007\n ... GNU Affero General Public License",
            "GPL-3.0-only",
        ),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "LGPL-3.0-only"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 2, June 1991", "GPL-2.0-only"),
        ("Mozilla Public License Version 2.0\n====", "MPL-2.0"),
        ("Creative Commons Legal Code\n\nCC0 1.0 Universal", "CC0-1.0"),
        ("Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-NonCommercial-NoDerivs 3.0 Unported", "CC-BY-NC-ND-3.0"),
        ("Dedicated by https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("See <https://creativecommons.org/licenses/by-nc/4.0/>", "CC-BY-NC-4.0"),
        ("This is free and unencumbered software released into the public domain.", "Unlicense"),
        ("All rights reserved.", None),
        ("", None),
    ],
)
def test_a_licence_is_told_by_its_phrases(text: str, identifier: str | None) -> None:
    assert spdx_of(text) == identifier


def test_the_licence_of_this_project_is_known() -> None:
    assert spdx_of((Path(__file__).parents[2] / "LICENSE").read_text()) == "Apache-2.0"


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-or-later\n", "GPL-2.0-or-later"),
        ("/* SPDX-License-Identifier: (MIT OR Apache-2.0) */", "(MIT OR Apache-2.0)"),
        ("<!-- SPDX-License-Identifier: BSD-3-Clause -->", "BSD-3-Clause"),
        ("x\n" * 5000 + "# SPDX-License-Identifier: MIT", None),
    ],
)
def test_a_file_states_its_licence_near_its_beginning(text: str, identifier: str | None) -> None:
    assert stated_in(text) == identifier


def test_several_licences_are_a_choice_and_the_lesser_gpl_is_one_with_the_gpl() -> None:
    assert together(["MIT", "Apache-2.0", "MIT"]) == "Apache-2.0 OR MIT"
    assert together(["GPL-3.0-only", "LGPL-3.0-only"]) == "LGPL-3.0-only"
    assert together([]) == ""
