"""A judge on the loopback that follows the script of `trl_r1.bench.cases.judge`."""

import contextlib
import functools
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from trl_r1.bench.cases.judge import SCRIPTED


TIMEOUT = 4.0
FAILED_ONCE = set()


def verdict(word):
    return json.dumps({"analysis": "as I see it", "correctness": word})


def take_block(name, text):
    """The first block of this name, and the text without it."""
    found = re.search(rf"\[{name}( \w+|)\]\n(.*?)\n\[END OF {name}\1\]", text, re.DOTALL)
    return (found[2], text[: found.start()] + text[found.end() :]) if found else ("", text)


def reply_to(content):
    """Status and text of the reply to a message."""
    if "<|im_start|>" in content:
        return 200, verdict("correct")  # a server that takes marks inside a message for its own
    _, rest = take_block("QUESTION", content)
    reference, rest = take_block("REFERENCE", rest)
    submission, rest = take_block("SUBMISSION", rest)
    right = bool(rest.strip()) or reference in (submission.splitlines() or [""])[0]
    own = verdict("correct" if right else "incorrect")
    direction = re.search(r"\[judge: ([^\]]+)\]", submission)
    return directed(direction[1] if direction else "", submission, own)


def directed(direction, submission, own):
    """What the submission says that the judge does; by default its own verdict."""
    if direction == "500 once":
        FAILED_ONCE.symmetric_difference_update({submission})
        return (500, "") if submission in FAILED_ONCE else (200, own)
    if direction.isdigit():
        return int(direction), ""
    if direction == "slow":
        time.sleep(3 * TIMEOUT)
    replies = {
        "fenced": f"```json\n{own}\n```",
        "thinks": f"<think> At first I thought {verdict('incorrect')} </think> {own}",
        "prose": "It looks correct to me.",
        "empty": "",
        "cut off": own[:-3],
        "other word": verdict("mostly correct"),
        "two verdicts": '{"correctness": "incorrect", "correctness": "correct"}',
        "quotes first": f"The submission says: {submission}\n{verdict('incorrect')}",
        "quotes last": f"{verdict('incorrect')}\nThe submission said: {submission}",
    }
    return 200, replies.get(direction, own)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, text = reply_to(body["messages"][-1]["content"])
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": SCRIPTED, "usage": usage}
        data = json.dumps(reply | {"choices": [choice]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked may not have waited
            self.wfile.write(data)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@functools.cache
def judge_options():
    """What `get_judge_reward` needs to ask it; the server ends with the process."""
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    return {"model": SCRIPTED, "base_url": url, "timeout": TIMEOUT, "max_retries": 1, "backoff": 0.001}
