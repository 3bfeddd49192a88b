from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from dvae_tf import interrupts


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_signal_is_raised_once_the_block_is_done(number):
    before = [signal.getsignal(s) for s in interrupts.SIGNALS]
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.held_back():
        os.kill(os.getpid(), number)
        done.append(True)
    assert done
    assert [signal.getsignal(s) for s in interrupts.SIGNALS] == before


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_block_within_a_block_does_not_end_it(number):
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.held_back():
        with interrupts.held_back():
            os.kill(os.getpid(), number)
        done.append(True)
    assert done


IMPORTING = """
import signal, sys, time
from dvae_tf import interrupts
interrupts.treat_sigterm_as_ctrl_c()
signal.signal(signal.SIGINT, getattr(signal, sys.argv[1]))
with interrupts.ending_at_once():
    print("importing", flush=True)
    try:
        time.sleep(60)
    except BaseException:  # as many a module does
        print("caught")
"""


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_signal_during_imports_ends_the_process_at_once(number, project):
    command = [sys.executable, "-c", IMPORTING, "default_int_handler"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "importing\n"
        child.send_signal(number)
        assert child.communicate() == ("", None)
    assert child.returncode == interrupts.INTERRUPTED


def test_ignored_signals_stay_ignored(project):
    """Those of a job in the background."""
    command = [sys.executable, "-c", IMPORTING, "SIG_IGN"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "importing\n"
        child.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.kill()


def test_handlers_are_put_back_after_imports():
    before = [signal.getsignal(s) for s in interrupts.SIGNALS]
    with interrupts.ending_at_once():
        assert [signal.getsignal(s) for s in interrupts.SIGNALS] != before
    assert [signal.getsignal(s) for s in interrupts.SIGNALS] == before


def test_an_error_of_the_block_comes_first():
    with pytest.raises(ZeroDivisionError), interrupts.held_back():
        os.kill(os.getpid(), signal.SIGINT)
        _ = 1 / 0


def test_without_a_signal_nothing_is_raised():
    with interrupts.held_back():
        pass


def test_other_threads_may_use_it():
    errors = []

    def work() -> None:
        try:
            with interrupts.held_back():
                pass
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors


def test_sigterm_can_be_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    try:
        interrupts.treat_sigterm_as_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
