"use strict";
// Classifies images by POST predict on the server that the page came from.

const at = (id) => document.getElementById(id);
const most = 24; // answers that stay on the page
let models = [];
let token = sessionStorage.getItem("token") || "";
let stream = null;

function say(text) {
  at("message").textContent = text;
  at("message").hidden = !text;
}

async function ask(path, options = {}) {
  options.headers = Object.assign({}, options.headers, token ? { Authorization: "Bearer " + token } : {});
  const answer = await fetch(path, options);
  if (answer.status === 401) {
    at("token-form").hidden = false;
    at("token").focus();
    throw new Error("The server needs a token.");
  }
  if (!answer.ok) {
    let told = answer.statusText;
    try { told = (await answer.json()).error || told; } catch { /* no JSON */ }
    throw new Error(told);
  }
  return answer;
}

function chosen() { return models.find((m) => m.name === at("model").value) || models[0]; }

function percent(p) { return p === null ? "–" : (100 * p).toFixed(p > 0.0995 ? 1 : 2) + " %"; }

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function describe() {
  const m = chosen(), list = element("dl"), card = at("card");
  const row = (name, value) => { if (value) list.append(element("dt", name), element("dd", value)); };
  row("Network", m.architecture);
  row("Answers with", m.task + ": " + m.names.slice(0, 12).join(", ") + (m.names.length > 12 ? " and " + (m.names.length - 12) + " more" : ""));
  const [c, h, w] = m.input;
  row("Input", (c === 1 ? "grey" : "colour") + (h ? ", " + w + "x" + h + " pixels" : ", any size"));
  row("Trained on", m.dataset && m.dataset + (m.epoch ? ", epoch " + m.epoch : ""));
  for (const [name, value] of Object.entries(m.metrics || {})) {
    if (typeof value === "number") row(name.replaceAll("_", " "), Number(value.toPrecision(4)).toString());
  }
  row("Computed in", m.precision);
  if (m.calibrated) row("Probabilities", "calibrated");
  row("Version", m.version);
  row("Note", m.failed);
  card.replaceChildren(element("h2", m.name), list);
}

async function start() {
  try {
    models = (await (await ask("models")).json()).models;
    at("token-form").hidden = true;
    say("");
    at("model").replaceChildren(...models.map((m) => { const o = element("option", m.name); o.value = m.name; return o; }));
    at("models").hidden = models.length < 2;
    describe();
  } catch (err) { say(err.message); }
}

function bars(list, answer) {
  const all = answer.classes || answer.labels;
  for (const p of all || []) {
    const li = element("li"), meter = element("meter");
    meter.value = p.probability;
    meter.setAttribute("aria-label", p.class);
    li.append(element("span", p.class, "name"), element("span", percent(p.probability), "number"), meter);
    list.append(li);
  }
  for (const v of answer.values || []) {
    const li = element("li");
    li.append(element("span", v.name, "name"), element("span", v.value === null ? "–" : Number(v.value.toPrecision(5)).toString(), "number"));
    list.append(li);
  }
}

async function explain(button, cam, model, image, index) {
  const shown = button.getAttribute("aria-pressed") === "true";
  button.setAttribute("aria-pressed", String(!shown));
  cam.hidden = shown;
  if (shown || cam.src) return;
  button.disabled = true;
  try {
    const answer = await ask("models/" + encodeURIComponent(model) + "/predict?gradcam=1&class=" + index, { method: "POST", body: image });
    cam.src = URL.createObjectURL(await answer.blob());
  } catch (err) {
    cam.hidden = true;
    button.setAttribute("aria-pressed", "false");
    say(err.message);
  }
  button.disabled = false;
}

async function classify(image, name) {
  const model = chosen().name;
  const article = at("result").content.cloneNode(true).querySelector("article");
  const picture = article.querySelector(".image"), list = article.querySelector(".bars");
  picture.src = URL.createObjectURL(image);
  picture.alt = name;
  article.querySelector("figcaption").textContent = name;
  list.append(element("li", "…"));
  at("results").prepend(article);
  while (at("results").children.length > most) at("results").lastElementChild.remove();
  const begun = performance.now();
  try {
    const answer = await (await ask("models/" + encodeURIComponent(model) + "/predict?k=5", { method: "POST", body: image })).json();
    const took = performance.now() - begun, ms = answer.milliseconds;
    list.replaceChildren();
    bars(list, answer);
    article.querySelector(".times").textContent =
      took.toFixed(0) + " ms in all: decoding " + ms.decode.toFixed(1) + ", waiting " + ms.queue.toFixed(1) + ", computing " + ms.compute.toFixed(1);
    const first = (answer.classes || answer.labels || [])[0];
    if (first) {
      const button = article.querySelector(".explain");
      button.hidden = false;
      button.textContent = "Show what speaks for " + first.class;
      button.addEventListener("click", () => explain(button, article.querySelector(".cam"), model, image, first.index));
    }
  } catch (err) {
    list.replaceChildren(element("li", err.message, "failed"));
  }
}

// One after the other: the server's queue belongs to all of its clients.
let work = Promise.resolve();
function take(files) {
  say("");
  if (!models.length) return;
  for (const f of files) work = work.then(() => classify(f, f.name || "picture"));
}

async function openCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    at("video").srcObject = stream;
    await at("video").play();
    at("viewfinder").hidden = false;
    at("shoot").focus();
  } catch (err) {
    say(navigator.mediaDevices ? "The camera cannot be used: " + err.message : "A browser gives the camera to pages from this machine or over HTTPS alone.");
  }
}

function closeCamera() {
  if (stream) stream.getTracks().forEach((t) => t.stop());
  stream = null;
  at("viewfinder").hidden = true;
  at("camera").focus();
}

function shoot() {
  const v = at("video"), canvas = document.createElement("canvas");
  canvas.width = v.videoWidth;
  canvas.height = v.videoHeight;
  canvas.getContext("2d").drawImage(v, 0, 0);
  canvas.toBlob((b) => { if (b) take([new File([b], "camera.jpg", { type: "image/jpeg" })]); }, "image/jpeg", 0.92);
}

at("choose").addEventListener("click", () => at("files").click());
at("files").addEventListener("change", () => { take(at("files").files); at("files").value = ""; });
at("camera").addEventListener("click", () => (stream ? closeCamera() : openCamera()));
at("shoot").addEventListener("click", shoot);
at("stop").addEventListener("click", closeCamera);
at("model").addEventListener("change", describe);
at("drop").addEventListener("keydown", (e) => {
  if (e.target === at("drop") && (e.key === "Enter" || e.key === " ")) { e.preventDefault(); at("files").click(); }
});
at("token-form").addEventListener("submit", (e) => {
  e.preventDefault();
  token = at("token").value;
  sessionStorage.setItem("token", token);
  start();
});
document.addEventListener("keydown", (e) => { if (e.key === "Escape" && stream) closeCamera(); });
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (e) => { e.preventDefault(); at("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, (e) => { e.preventDefault(); at("drop").classList.remove("over"); });
document.addEventListener("drop", (e) => take(e.dataTransfer.files));
document.addEventListener("paste", (e) => { if (e.clipboardData.files.length) take(e.clipboardData.files); });
start();
