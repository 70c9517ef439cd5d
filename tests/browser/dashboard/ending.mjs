// Ends the broadcast.
import { check, until } from "../chromium.mjs";

export async function judgeEnding(page, stream, shoot) {
  await page.click("#end");
  const verb = page.locator("dialog button.danger");
  await page.fill("dialog input", stream.slice(0, -1));
  check(await verb.isDisabled(), "it may be ended without its name");
  await page.fill("dialog input", stream);
  await shoot(page, "dashboard-end");
  await verb.click();
  await until("the dialog closes", 15_000, async () => !(await page.$("dialog")));
  await until("a broadcast is listed as ended", 60_000, async () =>
    (await page.textContent("section:has(#section-broadcasts) tbody")).includes("Ended"),
  );
  await shoot(page, "dashboard-ended");
}
