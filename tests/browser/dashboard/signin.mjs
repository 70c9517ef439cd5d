// Signing in and out.
import { check, until } from "../chromium.mjs";

/** Where the page keeps the token. */
export const token = "millrace.token";

export async function signIn(page, secret) {
  await page.fill("#token", secret);
  await page.click(".signin button[type=submit]");
  await page.waitForSelector("#sign-out");
}

export async function judgeSigningIn(page, dashboard, secret, shoot) {
  const kept = () => page.evaluate((name) => [sessionStorage.getItem(name), localStorage.length, document.cookie], token);
  await page.goto(dashboard);
  await page.fill("#token", "no-token-at-all");
  await page.click(".signin button[type=submit]");
  await until("a wrong token is told as such", 5_000, async () => (await page.textContent("main")).includes("not known"));
  check((await kept())[0] === null, "a wrong token is kept");
  await shoot(page, "dashboard-signin");

  await signIn(page, secret);
  await page.click("#sign-out");
  await page.waitForSelector("#token");
  check((await kept())[0] === null, "the token is kept after signing out");

  await signIn(page, secret);
  const [inSession, elsewhere, cookie] = await kept();
  check(inSession === secret && elsewhere === 0 && cookie === "", "the token is kept elsewhere than in the session");
  await page.reload();
  await page.waitForSelector("#sign-out");
}
