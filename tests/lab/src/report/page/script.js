// Shows the values of the interval under the pointer, and the same interval in all charts.
(() => {
  const charts = document.querySelector(".charts");
  if (!charts) return;
  const ends = charts.dataset.ends.split(" ").map(Number);
  const times = charts.dataset.times.split("|");
  const plots = [...charts.querySelectorAll("figure")].map(readPlot);
  document.querySelectorAll("[data-needs-script]").forEach((element) => (element.hidden = false));

  function readPlot(figure) {
    const svg = figure.querySelector("svg");
    const lines = [...figure.querySelectorAll(".legend li")].map((line) => ({
      name: line.dataset.name,
      values: line.dataset.values.split("|"),
    }));
    const plot = {
      svg,
      lines,
      left: Number(svg.dataset.left),
      right: Number(svg.dataset.right),
      cursor: svg.querySelector(".cursor"),
      readout: figure.querySelector(".readout"),
    };
    for (const event of ["pointerdown", "pointermove"]) {
      svg.addEventListener(event, (at) => show(plot, indexAt(plot, at.clientX)));
    }
    for (const event of ["pointerleave", "blur"]) svg.addEventListener(event, hide);
    svg.addEventListener("keydown", (key) => move(plot, key));
    return plot;
  }

  function indexAt({ svg, left, right }, x) {
    const box = svg.getBoundingClientRect();
    const inside = ((x - box.left) / box.width) * svg.viewBox.baseVal.width;
    const time = ((inside - left) / (right - left)) * ends[ends.length - 1];
    const index = ends.findIndex((end) => time < end);
    return index < 0 ? ends.length - 1 : index;
  }

  let shown = -1;

  function move(plot, key) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key.key];
    if (!step) return;
    key.preventDefault();
    show(plot, Math.min(Math.max(shown + step, 0), ends.length - 1));
  }

  function show(plot, index) {
    hide();
    shown = index;
    const all = ends[ends.length - 1];
    const [from, until] = [ends[index - 1] ?? 0, ends[index]];
    for (const { cursor, left, right } of plots) {
      cursor.setAttribute("x", left + (from / all) * (right - left));
      cursor.setAttribute("width", ((until - from) / all) * (right - left));
    }
    const rows = plot.lines.map(({ name, values }) => row(name + " ", values[index]));
    plot.readout.replaceChildren(row(times[index], ""), ...rows);
    plot.readout.classList.toggle("at-left", from > all / 2);
    plot.readout.hidden = false;
  }

  function row(text, value) {
    const [line, strong] = [document.createElement("div"), document.createElement("b")];
    strong.textContent = value;
    line.append(text, strong);
    return line;
  }

  function hide() {
    shown = -1;
    for (const { cursor, readout } of plots) {
      cursor.setAttribute("width", 0);
      readout.hidden = true;
    }
  }
})();
