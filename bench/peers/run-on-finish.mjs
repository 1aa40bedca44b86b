// What one writes by hand where a framework has nothing for it: tasks behind the response's `finish`. (Behind
// its `close` they would run as well when the client has left; Express' own middleware, as morgan, waits for `finish`.)
const kTasks = Symbol('tasks')

export function add (res, fn, ...args) {
  if (res[kTasks] === undefined) {
    res[kTasks] = []
    res.on('finish', async () => {
      for (const [fn, args] of res[kTasks]) {
        try {
          await fn(...args)
        } catch (err) {
          // A peer's log is not what is measured.
        }
      }
    })
  }
  res[kTasks].push([fn, args])
}
