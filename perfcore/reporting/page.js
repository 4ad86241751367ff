"use strict";
// Draws every panel in place. A button of a legend shows or hides its series in all panels of its
// picture. The tables beside the pictures have the same numbers and need no script.
(() => {
  const pictures = JSON.parse(document.getElementById("pictures").textContent);
  document.querySelectorAll("figure[data-picture]").forEach((figure) => {
    const picture = pictures[Number(figure.dataset.picture)];
    const hidden = new Set();
    const drawn = [...figure.querySelectorAll(".chart")].map((chart, place) =>
      window.vegaEmbed(chart, picture.panels[place], {
        mode: "vega-lite", actions: false, renderer: "svg", ast: false,
      }).then((result) => result.view));
    Promise.all(drawn).then(() => { figure.dataset.drawn = "yes"; });
    figure.querySelectorAll(".legend button").forEach((button) => {
      button.addEventListener("click", () => {
        const name = picture.series[Number(button.dataset.series)];
        const shown = hidden.has(name);
        if (shown) { hidden.delete(name); } else { hidden.add(name); }
        button.setAttribute("aria-pressed", String(shown));
        drawn.forEach((view) => view.then((one) => one.signal("hidden", [...hidden]).runAsync()));
      });
    });
  });
})();
