"use strict";
// Tables can be sorted by a click on a column's head, and long ones be searched.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, i) => row.cells[i].dataset.v ?? row.cells[i].textContent;
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numbers = head.classList.contains("num");
      const up = head.hasAttribute("aria-sort") ? head.getAttribute("aria-sort") === "descending" : !numbers;
      heads.forEach(h => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compare = numbers
        ? (a, b) => value(a, i) - value(b, i)
        : (a, b) => value(a, i).localeCompare(value(b, i), undefined, { numeric: true });
      body.append(...[...body.rows].sort((a, b) => up ? compare(a, b) : compare(b, a)));
    });
  });
  if (table.dataset.filter && body.rows.length > 30) {
    const find = document.createElement("input");
    find.type = "search";
    find.className = "find";
    find.placeholder = "Find a " + table.dataset.filter;
    find.setAttribute("aria-label", find.placeholder);
    find.addEventListener("input", () => {
      const word = find.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(word);
    });
    table.parentElement.before(find);
  }
}
