from __future__ import annotations

import os
import signal
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
