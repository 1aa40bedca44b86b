# Starlette on uvicorn, with uvloop and httptools. Its tasks hang on the response.
import asyncio
import os
import resource

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

TASK_SECONDS = int(os.environ.get("BENCH_TASK_MS", "0")) / 1000
# Long enough for the client to have left.
HANDLER_SECONDS = TASK_SECONDS / 2

counts = os.environ.get("BENCH_COUNTS")
files = {
    name: os.open(os.path.join(counts, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for name in ("accepted", "ran")
} if counts else {}
ran = 0


async def async_task(argument):
    global ran
    ran += 1


def plain_task(argument):
    # Runs in a thread. CPython does not switch threads within this; a lost count would be seen.
    global ran
    ran += 1


def accept():
    os.write(files["accepted"], b".")


async def record():
    os.write(files["ran"], b".")


async def record_late():
    await asyncio.sleep(TASK_SECONDS)
    os.write(files["ran"], b".")


async def fail():
    raise RuntimeError("this task fails")


async def halting():
    yield b"one"
    await asyncio.sleep(HANDLER_SECONDS)
    yield b"two"


async def breaking():
    yield b"one"
    await asyncio.sleep(0.001)
    raise RuntimeError("the stream fails")


async def report(request):
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return JSONResponse({"cpu": (usage.ru_utime + usage.ru_stime) * 1e6, "ran": ran})


async def none(request):
    return JSONResponse({"hello": "world"})


def with_tasks(task, amount):
    async def one(request):
        return JSONResponse({"hello": "world"}, background=BackgroundTask(task, "argument"))

    async def several(request):
        tasks = BackgroundTasks()
        for _ in range(amount):
            tasks.add_task(task, "argument")
        return JSONResponse({"hello": "world"}, background=tasks)

    return one if amount == 1 else several


async def leave(request):
    task = BackgroundTask(record)
    accept()
    await asyncio.sleep(HANDLER_SECONDS)
    return JSONResponse({"hello": "world"}, background=task)


async def stream(request):
    accept()
    return StreamingResponse(halting(), background=BackgroundTask(record))


async def broken(request):
    accept()
    return StreamingResponse(breaking(), background=BackgroundTask(record))


async def failing(request):
    tasks = BackgroundTasks()
    tasks.add_task(fail)
    tasks.add_task(record)
    accept()
    return JSONResponse({"hello": "world"}, background=tasks)


async def late(request):
    accept()
    return JSONResponse({"hello": "world"}, background=BackgroundTask(record_late))


app = Starlette(routes=[
    Route("/report", report),
    Route("/none", none),
    Route("/async/1", with_tasks(async_task, 1)),
    Route("/async/3", with_tasks(async_task, 3)),
    Route("/plain/1", with_tasks(plain_task, 1)),
    Route("/plain/3", with_tasks(plain_task, 3)),
    Route("/leave", leave),
    Route("/stream", stream),
    Route("/broken", broken),
    Route("/failing", failing),
    Route("/late", late),
])

uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), loop="uvloop", http="httptools",
            access_log=False, log_level="critical")
