// Makes a publish key, renews and revokes it.
import { check, until } from "../chromium.mjs";

const NAME = "guest-of-the-test";

export async function judgeKeys(page, shoot) {
  await page.click("#new-key");
  await page.fill("dialog input[name=name]", NAME);
  await shoot(page, "dashboard-new-key");
  await page.click("dialog button[type=submit]");
  const secret = await seenOnce(page, shoot);
  const row = page.locator("tr", { has: page.locator("th", { hasText: NAME }) });
  await until("the key is listed as active", 10_000, async () => (await row.first().textContent()).includes("Active"));

  await row.first().getByRole("button", { name: "Renew" }).click();
  await page.click("dialog button[type=submit]");
  check((await seenOnce(page)) !== secret, "a renewed key has the old secret");
  await until("both are listed while they overlap", 10_000, async () => (await row.count()) >= 1);

  await row.first().getByRole("button", { name: "Revoke" }).click();
  await shoot(page, "dashboard-revoke");
  await page.click("dialog button[type=submit]");
  await until("the key is listed as revoked", 10_000, async () => (await row.allTextContents()).some((text) => text.includes("Revoked")));
}

/** The secret in the dialog, which is then closed. */
async function seenOnce(page, shoot) {
  await page.waitForSelector("dialog .secret");
  const secret = await page.inputValue("dialog .secret");
  check(secret.length > 20, "the key is too short to be one");
  if (shoot) await shoot(page, "dashboard-key-once");
  await page.keyboard.press("Escape");
  check(await page.$("dialog .secret"), "a slip of the hand closes what is shown once");
  await page.click("dialog button[type=submit]");
  await until("the secret is gone with the dialog", 2_000, async () => !(await page.content()).includes(secret));
  return secret;
}
