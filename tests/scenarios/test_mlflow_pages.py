"""MLflow's pages of a study of 50 trials, served by `insects-ui` and read in Chromium."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import BIN, Finished, client_of, command, invoke
from tests.support.environments import clean_environment
from tests.support.servers import HOST, free_port, unavailable

if TYPE_CHECKING:
    from playwright.sync_api import Page

SEARCH = (
    "--trials", "50", "--epochs", "3", "--width", "8:24", "--study", "pages", "--json",
    "--finalists", "2", "--folds", "2",
)  # fmt: skip
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PARAMETERS = ["depth", "width", "lr", "batch_size"]
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Pages:
    """MLflow's pages of a study.

    Attributes:
        link: What `insects-ui` printed.
        answer: The search's JSON object.
        runs: The ids of the trials' runs, by number.
    """

    link: str
    answer: dict[str, Any]
    runs: list[str]

    def at(self, path: str) -> str:
        """Return the address of another page."""
        return f"{self.link.partition('#')[0]}#{path}"

    @property
    def experiment(self) -> str:
        """The id of the study's experiment."""
        return self.link.partition("/experiments/")[2].partition("/")[0]


@dataclass(frozen=True)
class Process:
    """A running process.

    Attributes:
        parent: The id of its parent.
        group: The id of its process group.
    """

    parent: int
    group: int


def processes() -> list[Process]:
    """Return the running processes of this machine, without zombies."""
    listed = subprocess.run(["ps", "-eo", "ppid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [Process(int(parent), int(group)) for parent, group, state in rows if not state.startswith("Z")]


def command_lines(group: int) -> list[str]:
    """Return the command lines of a process group, which every user can read."""
    listed = subprocess.run(["ps", "-eo", "pgid=,args=", "-ww"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=1) for line in listed.splitlines()]
    return [row[1] for row in rows if row[0] == str(group)]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Pages]:
    store = tmp_path_factory.mktemp("pages")
    shutil.copy(empty_database, store)
    with pytest.MonkeyPatch.context() as patch:
        done = invoke(patch, "search", *SEARCH, "--store", str(store))
    assert done.exit_code == 0, done.stderr
    with subprocess.Popen(
        [BIN / "insects-ui", "--store", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as shown:
        assert shown.stdout is not None
        link = shown.stdout.readline().strip()
        assert link, shown.communicate()[1]
        experiment = link.partition("/experiments/")[2].partition("/")[0]
        found = client_of(store).search_runs([experiment], "tags.`insects.role` = 'trial'", max_results=1000)
        numbered = {int(run.data.tags["insects.trial"]): str(run.info.run_id) for run in found}
        yield Pages(link, json.loads(done.stdout), [numbered[number] for number in range(50)])
        shown.send_signal(signal.SIGINT)
        assert shown.wait(30) == 130


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        unavailable("no chromium is installed here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        page.set_default_timeout(120_000)
        yield page
        browser.close()


def test_charts_show_all_trials_in_parallel_coordinates_and_the_curves_of_the_best(
    pages: Pages, browser_page: Page
) -> None:
    browser_page.goto(f"{pages.link}&compareRunsMode=CHART")
    browser_page.get_by_text("50 matching runs").wait_for()
    axes = browser_page.locator(".parcoords .dimension .label")
    axes.first.wait_for()
    assert axes.all_text_contents() == [*PARAMETERS, "best_valid_loss"]
    browser_page.get_by_text("Learning curves of the best").scroll_into_view_if_needed()
    for curve in ("valid_loss", "valid_accuracy"):
        browser_page.get_by_text(curve, exact=True).first.wait_for()
    browser_page.locator(".js-plotly-plot .scatterlayer").first.wait_for()


def test_link_lists_all_trials_best_first_with_the_parameters_and_the_figures_as_columns(
    pages: Pages, browser_page: Page
) -> None:
    browser_page.goto(pages.link)
    browser_page.get_by_text("50 matching runs").wait_for()
    best = f"trial-{pages.answer['best']['number']:04d}"
    assert browser_page.get_by_role("link", name="trial-").first.inner_text() == best
    browser_page.get_by_role("columnheader", name="best_valid_loss").first.wait_for()
    heads = browser_page.get_by_role("columnheader").all_inner_texts()
    assert {"best_valid_loss", "best_valid_accuracy"} <= {head.strip() for head in heads}


def test_fifty_runs_are_compared_in_parallel_coordinates(pages: Pages, browser_page: Page) -> None:
    runs = json.dumps(pages.runs, separators=(",", ":"))
    browser_page.goto(pages.at(f'/compare-runs?runs={runs}&experiments=["{pages.experiment}"]'))
    browser_page.get_by_text("Comparing 50 Runs from 1 Experiment").wait_for()
    browser_page.locator(".js-plotly-plot .parcoords").first.wait_for()
    titles = browser_page.locator(".js-plotly-plot .axis-title").all_text_contents()
    assert set(titles) & set(PARAMETERS)


def test_trial_shows_its_parameters_curves_and_plots(pages: Pages, browser_page: Page) -> None:
    trial = pages.answer["trials"][7]
    run = f"/experiments/{pages.experiment}/runs/{pages.runs[7]}"
    browser_page.goto(pages.at(run))
    browser_page.get_by_role("heading", name="trial-0007").wait_for()
    for name in PARAMETERS:
        row = browser_page.get_by_role("row").filter(has=browser_page.get_by_text(name, exact=True))
        assert str(trial["params"][name]) in row.first.inner_text()
    browser_page.goto(pages.at(f"{run}/model-metrics"))
    browser_page.locator(".js-plotly-plot .scatterlayer").nth(3).wait_for()
    for plot in ("decision_boundary.png", "loss_curves.png"):
        browser_page.goto(pages.at(f"{run}/artifacts/{plot}"))
        image = browser_page.locator("img[src^='blob:']").first
        image.wait_for()
        assert image.evaluate("image => image.naturalWidth") == 700


def test_page_of_the_search_shows_its_comparison(pages: Pages, browser_page: Page) -> None:
    browser_page.goto(pages.at(f"/experiments/{pages.experiment}/runs"))
    browser_page.get_by_role("link", name="search pages").first.click()
    browser_page.get_by_role("heading", name="search pages").wait_for()
    browser_page.get_by_role("tab", name="Artifacts").click()
    for plot in ("boundary_atlas.png", "optimization_history.png", "parallel_coordinates.png", "importances.png"):
        browser_page.get_by_text(plot, exact=True).first.click()
        image = browser_page.locator("img[src^='blob:']").first
        image.wait_for()
        assert image.evaluate("image => image.naturalWidth") >= 700


def test_report_is_shown_among_the_artifacts_of_the_search(pages: Pages, browser_page: Page) -> None:
    browser_page.goto(pages.at(f"/experiments/{pages.experiment}/runs"))
    browser_page.get_by_role("link", name="search pages").first.click()
    browser_page.get_by_role("tab", name="Artifacts").click()
    browser_page.get_by_text("report.html", exact=True).first.click()
    report = browser_page.frame_locator("iframe").first
    report.get_by_role("heading", name="Accuracy to expect").wait_for()
    assert report.locator("circle").count() > 50


def test_registered_model_shows_its_alias(pages: Pages, browser_page: Page) -> None:
    browser_page.goto(pages.at("/models/insects-mlp"))
    version = browser_page.get_by_text("Version 1", exact=True)
    row = browser_page.get_by_role("row").filter(has=version).first
    row.get_by_text("@ best", exact=True).wait_for()
    assert browser_page.get_by_text("@ best", exact=True).count() == 1
    assert pages.answer["model"]["version"] == "1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_mlflows_processes_too(number: signal.Signals, finished: Finished) -> None:
    port = free_port()
    with subprocess.Popen(
        [BIN / "insects-ui", "--store", str(finished.store), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shown:
        assert shown.stdout is not None
        assert shown.stdout.readline().startswith(f"http://{HOST}:{port}/#/experiments/")
        pages = [entry for entry in processes() if entry.parent == shown.pid]
        group = pages[0].group
        assert group != os.getpgid(shown.pid)
        lines = command_lines(group)
        assert any(str(port) in line for line in lines)
        assert not any("sqlite:" in line for line in lines), "every user could read the password of a URI"
        shown.send_signal(number)
        assert shown.wait(30) == 128 + number
    assert [entry for entry in processes() if entry.group == group] == []
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) == errno.ECONNREFUSED


def test_ignored_hangup_does_not_end_the_pages(finished: Finished) -> None:
    shown = subprocess.Popen(
        ["nohup", BIN / "insects-ui", "--store", str(finished.store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with shown:
        assert shown.stdout is not None
        address = shown.stdout.readline().partition("#")[0]
        shown.send_signal(signal.SIGHUP)
        with DIRECT.open(f"{address}health") as answer:
            assert answer.status == 200
        shown.send_signal(signal.SIGTERM)
        assert shown.wait(30) == 143


def test_modules_of_the_working_directory_are_not_imported(finished: Finished, tmp_path: Path) -> None:
    for name in ("mlflow", "torch", "uvicorn", "json"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write('{name} ')")
    with subprocess.Popen(
        [BIN / "insects-ui", "--store", str(finished.store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as shown:
        assert shown.stdout is not None
        link = shown.stdout.readline()
        with DIRECT.open(f"{link.partition('#')[0]}health"):  # answered when all is imported
            shown.send_signal(signal.SIGTERM)
    assert not (tmp_path / "imported").exists()
    assert link.startswith(f"http://{HOST}:")


def test_taken_port_is_one_line(finished: Finished) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        done = command("insects-ui", "--store", str(finished.store), "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: port {port} cannot be served: Address already in use; choose another --port\n"


def test_ui_of_a_server_refers_to_its_own_pages() -> None:
    done = command("insects-ui", "--tracking-uri", "http://127.0.0.1:9")
    assert done.stderr == "Error: http://127.0.0.1:9 serves its pages itself: open it in a browser\n"
    assert done.returncode == 1


@pytest.mark.parametrize("arguments", [("--study", "other"), ()])
def test_study_that_is_not_there_is_one_line(arguments: tuple[str, ...], store: Path) -> None:
    done = command("insects-ui", "--store", str(store), *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    what = "no study other" if arguments else "no study yet"
    assert done.stderr.startswith(f"Error: there is {what} in sqlite:///{store / 'mlflow.db'}: run insects-search ")
