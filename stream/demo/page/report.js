"use strict";
const form = document.getElementById("filters");
const shown = document.getElementById("shown");
const images = [...document.querySelectorAll("article.image")];

const wanted = (row, choice) =>
  (!choice.client || row.dataset.client === choice.client) &&
  (!choice.misses || "miss" in row.dataset) &&
  (!choice.verdict || row.dataset.verdict === choice.verdict);

function filter() {
  const choice = Object.fromEntries(new FormData(form));
  const name = choice.name.trim().toLowerCase();
  let count = 0;
  for (const image of images) {
    let left = 0;
    for (const row of image.querySelectorAll("tbody tr")) {
      row.hidden = !wanted(row, choice);
      left += row.hidden ? 0 : 1;
    }
    image.hidden =
      (left === 0 && Boolean(choice.client || choice.verdict || choice.misses)) ||
      !image.dataset.name.includes(name) ||
      (choice.surface !== "" && image.dataset.surface !== choice.surface);
    count += image.hidden ? 0 : 1;
  }
  shown.textContent = `${count} of ${images.length} images`;
}

const large = document.getElementById("large");

function enlarge(event) {
  const small = event.currentTarget.closest(".picture").querySelector("img");
  large.querySelector("img").src = small.src;
  large.querySelector("img").alt = small.alt;
  large.querySelector("p").textContent = small.alt;
  large.showModal();
}

for (const button of document.querySelectorAll(".enlarge")) {
  button.hidden = false;
  button.addEventListener("click", enlarge);
}
document.getElementById("close").addEventListener("click", () => large.close());
large.addEventListener("click", (event) => event.target === large && large.close());

form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
filter();
