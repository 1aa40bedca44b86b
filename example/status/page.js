// Uploads a file, then shows what its task says of itself.
/* global EventSource */
const byId = (id) => document.getElementById(id)
const [form, task, name, bar, state, result, cancel] = ['form', 'task', 'name', 'bar', 'state', 'result', 'cancel'].map(byId)

let source

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  begin(form.elements.file.files[0].name)
  try {
    const response = await fetch('/files', { method: 'POST', body: new FormData(form) })
    if (response.status === 202) follow(response.headers.get('location'))
    else state.textContent = (await response.json()).message
  } catch {
    // The connection is lost, or what has answered is not the application.
    state.textContent = 'the upload has failed'
  }
})

function begin (file) {
  // It may still follow the upload before.
  stop()
  task.hidden = false
  result.hidden = true
  name.textContent = file
  show({ state: 'uploading' })
}

function follow (url) {
  stop()
  source = new EventSource(url)
  source.onmessage = ({ data }) => show(JSON.parse(data))
  source.addEventListener('end', ({ data }) => {
    show(JSON.parse(data))
    stop()
  })
  // Cut off, it comes again by itself; it is closed where there is nothing to come to, as after a restart of the server.
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return
    state.textContent = 'nothing is known of it any more'
    stop()
  }
  cancel.hidden = false
  cancel.onclick = () => fetch(url, { method: 'DELETE' })
}

function stop () {
  source?.close()
  cancel.hidden = true
}

function show ({ state: word, progress, location }) {
  bar.value = progress?.value ?? 0
  state.textContent = progress === undefined ? word : `${word}, ${Math.round(progress.value * 100)} %`
  if (location === undefined) return
  result.hidden = false
  result.href = location
}
