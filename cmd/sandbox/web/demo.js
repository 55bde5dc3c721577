// The demo page.
const answer = await fetch("/dropgate/session");
const body = await answer.json();
document.getElementById("session").textContent = JSON.stringify(body, null, 2);
if (answer.ok && globalThis.dwolla) {
  dwolla.configure({ environment: "sandbox", tokenUrl: "/dropgate/client-tokens" });
  const update = document.createElement("dwolla-customer-update");
  update.setAttribute("customerId", body.customer?.id ?? "");
  document.getElementById("panel-customer-update").append(update);
}
