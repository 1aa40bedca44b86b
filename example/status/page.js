// Uploads a file, then shows what its task says of itself.
/* global EventSource */
const byId = (id) => document.getElementById(id)
const [form, task, name, bar, state, result, cancel] = ['form', 'task', 'name', 'bar', 'state', 'result', 'cancel'].map(byId)

let source

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const response = await fetch('/files', { method: 'POST', body: new FormData(form) })
  const body = await response.json()
  task.hidden = false
  if (response.status === 202) follow(response.headers.get('location'), form.elements.file.files[0].name)
  else state.textContent = body.message
})

function follow (url, file) {
  name.textContent = file
  result.hidden = true
  // It may still follow the upload before.
  source?.close()
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
  source.close()
  cancel.hidden = true
}

function show ({ state: word, progress, location }) {
  bar.value = progress?.value ?? 0
  state.textContent = progress === undefined ? word : `${word}, ${Math.round(progress.value * 100)} %`
  if (location === undefined) return
  result.hidden = false
  result.href = location
}
