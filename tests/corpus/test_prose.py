import pytest

from hftrain.corpus.prose import prose


def test_doctests_and_their_empty_section_are_cut() -> None:
    text = prose(
        """Return the sum.

        Examples
        --------
        >>> add(1, 2)
        3

        It never overflows.

        Example:
            >>> add(
            ...     2, 2)
            4
        """
    )
    assert text == "Return the sum.\n\nExamples\n\nIt never overflows."


def test_an_examples_section_that_held_only_code_goes_with_its_heading() -> None:
    assert prose("Add.\n\nExamples\n--------\n>>> add(1)\n1\n") == "Add."
    assert prose("Add.\n\nExample:\n\n```python\nadd(1)\n```\n") == "Add."


def test_fenced_code_is_cut_and_text_after_it_stays() -> None:
    assert prose("Use it so:\n\n```py\nx = f(1)\n```\n\nThen stop.") == "Use it so:\n\nThen stop."


def test_a_literal_block_is_cut_and_its_colon_stays() -> None:
    text = prose("Call it like this::\n\n    run(now)\n    wait()\n\nIt returns at once.")
    assert text == "Call it like this:\n\nIt returns at once."


def test_a_note_keeps_its_text_and_other_directives_go() -> None:
    text = prose(
        """Load a file.

        .. note:: Paths are relative.

        .. versionadded:: 1.2
           The argument.

        .. code-block:: python

            load("x")

        .. [1] A. Author, Some Paper.

        Done.
        """
    )
    assert text == "Load a file.\n\nPaths are relative.\n\nDone."


def test_wrapped_lines_are_joined_and_short_ones_are_not() -> None:
    text = prose(
        """
        This line was wrapped by its author because it had become too long
        to fit, as had this one, which goes on for about as many characters
        and ends here.
        - a bullet that is long enough to have been wrapped by its author too
          and its end
        - another
        """
    )
    assert text == (
        "This line was wrapped by its author because it had become too long to fit, as had this one, which goes on "
        "for about as many characters and ends here.\n"
        "- a bullet that is long enough to have been wrapped by its author too and its end\n"
        "- another"
    )


def test_parameters_stay_one_a_line() -> None:
    docstring = (
        "Add.\n\n"
        "Args:\n"
        "    first (`int`, *optional*, defaults to 1): The first of the numbers to add.\n"
        "    second (`int`): The second."
    )
    assert prose(docstring) == docstring


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("See :class:`~torch.nn.Module` now.", "See Module now."),
        ("See :py:meth:`Trainer.train` now.", "See Trainer.train now."),
        ("See [`~PreTrainedModel.generate`] now.", "See `PreTrainedModel.generate` now."),
        ("See `the site <https://example.org>`_ now.", "See the site now."),
        ("See [the site](https://example.org) now.", "See the site now."),
        ("Pass ``x`` on.", "Pass `x` on."),
        ("<Tip warning={true}>\n\nMind it.\n\n</Tip>", "Mind it."),
        (":param int x: The number.\n:type x: int\n:returns: Its root.", "x: The number.\n\nReturns: Its root."),
        ("Title\n=====\n\nText follows.", "Title\n\nText follows."),
        ("A table.\n\n=====  =====\nA      B\n=====  =====\n\n| a | b |", "A table.\n\nA      B"),
        ("First.\n\nimport torch\nfrom x import y\nmodel = load(1)\n\nLast.", "First.\n\nLast."),
    ],
)
def test_markup_becomes_plain_text(markup: str, plain: str) -> None:
    assert prose(markup) == plain


def test_code_alone_leaves_nothing() -> None:
    assert prose("\n    >>> 1 + 1\n    2\n") == ""
