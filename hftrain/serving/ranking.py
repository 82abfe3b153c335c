"""Preferences by people: rank the answers to prompts, on a page of this machine, in a terminal or in a notebook."""

import sys
import webbrowser
from pathlib import Path
from typing import TextIO

from hftrain.errors import ArtifactError, ConfigError
from hftrain.runtime import log
from hftrain.serving.ranking_desk import Desk, Team
from hftrain.serving.ranking_export import Rules, export, write_export, write_summary
from hftrain.serving.ranking_items import Asking, Item, ask_for_items, items_of_run, read_items
from hftrain.serving.ranking_store import RankingStore, checked_name, database_url

HOST, PORT = "127.0.0.1", 8765
DEFAULT_RULES, DEFAULT_ASKING = Rules(), Asking()


def run(
    run_dir: Path,
    *,
    answers: Path | None = None,
    database: str | None = None,
    seed: int | None = None,
    rater: str | None = None,
    terminal: bool = False,
    host: str = HOST,
    port: int = PORT,
    open_browser: bool = True,
    export_path: Path | None = None,
    rules: Rules = DEFAULT_RULES,
    agreement: bool = False,
    asking: Asking = DEFAULT_ASKING,
    lines: TextIO = sys.stdin,
    out: TextIO = sys.stdout,
) -> None:
    """``hftrain rank``: serve the ranking page, or rank in the terminal, or export, or print the agreement.

    Args:
        run_dir: The run's folder; choices are kept in its ``ranking/``.
        answers: Prompts and answers to rank (JSON Lines); by default those of the run's preferences, else those that
            the database holds, else the run's chat model is asked.
        database: SQLAlchemy URL of the choices, for a team; by default an SQLite file in the run.
        seed: Of the blind orders and of asking; kept in the database.
        rater: Who ranks; the page asks when it is not given.
        terminal: Rank here instead of on a page.
        host: Address that is served; anything but this machine shows the page to a network, without encryption.
        port: Its port.
        open_browser: Whether to open the page.
        export_path: Write the rankings there and end.
        rules: How they are merged.
        agreement: Print who ranked how much and how far they agree, and end.
        asking: How the chat model is asked, when it is.
        lines: What a terminal's rater writes.
        out: What is printed.

    Raises:
        ConfigError: Something was asked for that cannot be.
        ArtifactError: The run has neither answers nor a chat model, or the database does not answer.
        DataError: The answers are not of their shape.
    """
    if answers is None and not run_dir.is_dir():
        raise ArtifactError(
            f"{run_dir}: is not there. The folder of a run, or --answers FILE, is needed. Mend the path."
        )
    store = RankingStore(database_url(run_dir, database), seed=seed)
    try:
        desk = Desk(store, find_items(run_dir, store, answers, asking))
        if export_path is not None:
            _export(desk, rules, export_path, run_dir, out)
        elif agreement:
            _tell_agreement(desk, rules, run_dir, out)
        elif terminal:
            _rank_here(desk, rater, lines, out)
        else:
            _serve(desk, run_dir, host, port, rater, open_browser, out)
    finally:
        store.close()


def find_items(run: Path, store: RankingStore, answers: Path | None, asking: Asking | None) -> list[Item]:
    """The items of the file that is named, else of the run's preferences, else of the database, else asked for.

    Raises:
        ArtifactError: There are none, and none may be asked for (``asking`` is None) or nobody can be asked.
    """
    found = read_items(answers) if answers is not None else items_of_run(run)
    if found is None:
        there = store.items()
        if there:
            return there
        if asking is None:
            raise ArtifactError(
                f"{run}: no answers to rank are here. preferences/answers.jsonl, or a file of answers, is needed. "
                f"Give answers, or run hftrain rank {run}, which asks the chat model."
            )
        log.info("rank: no answers to rank yet: the chat model of %s is asked", run)
        found = ask_for_items(run, asking, seed=store.seed)
    for reason, count in found.left_out.items():
        log.info("rank: left out: %d %s", count, reason.replace("_", " "))
    return list(found.items)


def team_lines(team: Team) -> list[str]:
    """What all raters did and how far they agree, as a person reads it."""
    width = max([5, *map(len, team.raters)])
    lines = [f"{'rater':<{width}}  ranked  all bad  skipped"]
    lines += [
        f"{name:<{width}}  {counts['ranked']:>6}  {counts['all_bad']:>7}  {counts['skip']:>7}"
        for name, counts in team.raters.items()
    ]
    agreement = team.agreement
    if agreement.alpha is None:
        return [*lines, "Agreement: two raters must rank some prompts both, and not all alike."]
    ends = agreement.interval
    interval = f" (95 % interval {ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
    prompts = f"{agreement.shared_groups} prompts that two or more raters ranked"
    return [*lines, f"Agreement (Krippendorff's alpha, ordinal): {agreement.alpha:.3f}{interval}, over {prompts}."]


def _export(desk: Desk, rules: Rules, path: Path, run: Path, out: TextIO) -> None:
    made = export(desk.ordered, desk.store.records(), rules)
    if not made.rows:
        raise ConfigError(
            f"--export {path}: no ranking to write ({made.summary['choices']} choices: "
            f"{made.summary['choices_dropped']}). Rank first: hftrain rank {run}"
        )
    summary = write_export(made, path, run)
    dropped = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in summary["choices_dropped"].items() if count
    )
    out.write(
        f"{summary['rows']} rows from {summary['choices_used']} of {summary['choices']} choices "
        f"({dropped or 'none left out'}) -> {path}\nUse them: collect_preferences.rankings: {path}\n"
    )


def _tell_agreement(desk: Desk, rules: Rules, run: Path, out: TextIO) -> None:
    write_summary(export(desk.ordered, desk.store.records(), rules).summary, run)
    out.write("\n".join(team_lines(desk.team())) + "\n")


def _rank_here(desk: Desk, rater: str | None, lines: TextIO, out: TextIO) -> None:
    from hftrain.serving.ranking_terminal import RankingTerminal

    if rater is None:
        raise ConfigError("--terminal: no rater. A name is needed to keep whose choice it is. Add --rater NAME.")
    RankingTerminal(desk, checked_name(rater)).rank(lines, out)


def _serve(desk: Desk, run: Path, host: str, port: int, rater: str | None, open_browser: bool, out: TextIO) -> None:
    from hftrain.serving.ranking_server import Access, RankingPage, kept_token, listen, serve

    at = listen(host, port)
    access = Access(host, at.getsockname()[1], kept_token(run / "ranking" / "token"))
    name = None if rater is None else checked_name(rater)
    out.write(
        f"{len(desk.items)} prompts to rank: {access.url()}\nChoices go to {desk.store.shown_url}. Ctrl-C ends.\n"
    )
    out.flush()
    if open_browser:
        webbrowser.open(access.url())
    serve(RankingPage(desk, access, rater=name).app(), at)
