"use strict";
// Sorting: a button in each header. Numbers sort by data-key, text by what it says; what is not known comes last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const isNumber = head.classList.contains("n");
      const old = head.getAttribute("aria-sort");
      const direction = old === "ascending" ? -1 : old === "descending" ? 1 : isNumber ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const key = (row) => {
        const cell = row.cells[column];
        if (!isNumber) return cell.textContent.trim();
        return cell.dataset.key === undefined ? null : Number(cell.dataset.key);
      };
      const compare = (a, b) => {
        const x = key(a), y = key(b);
        if (x === null || x === "") return y === null || y === "" ? 0 : 1;
        if (y === null || y === "") return -1;
        return direction * (isNumber ? x - y : x.localeCompare(y, "en", { numeric: true }));
      };
      const rows = [...body.rows].filter((row) => !row.classList.contains("total"));
      const totals = [...body.rows].filter((row) => row.classList.contains("total"));
      body.append(...rows.sort(compare), ...totals);
    });
  });
}
// Boxes that scroll can be reached by keyboard; the others need no stop.
for (const box of document.querySelectorAll(".scroll, .drawing")) {
  if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
}
// Closed parts would be missing on paper.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
