use millrace_media::ladder::{Rung, default_ladder};
use millrace_platform::config::Installation;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::qualities::Qualities;

use crate::support::{World, installation};

#[tokio::test]
async fn the_default_ladder_is_there_and_an_installations_own_goes_before_it() {
    let world = World::new().await;
    let everybodys = Qualities::new(world.database.clone(), Installation::default());
    let mut ladder = default_ladder();
    ladder.sort_by_key(|rung| rung.height);
    assert_eq!(everybodys.list().await.unwrap(), ladder);

    let blue = Qualities::new(world.database.clone(), installation("blue"));
    let rung = |height, bitrate_kbps| Rung { name: "720p".parse().unwrap(), height, bitrate_kbps };
    blue.upsert(&rung(720, 2_000)).await.unwrap();
    blue.upsert(&rung(720, 2_500)).await.unwrap();
    assert_eq!(blue.list().await.unwrap()[1].bitrate_kbps, 2_500);
    assert_eq!(everybodys.list().await.unwrap(), ladder);
    blue.delete(&rung(0, 0).name).await.unwrap();
    assert_eq!(blue.find(&rung(0, 0).name).await.unwrap().unwrap().bitrate_kbps, 3_000);
    let again = blue.delete(&rung(0, 0).name).await;
    assert!(matches!(again, Err(DatabaseError::NotFound { .. })), "{again:?}");
    let wrong = blue.upsert(&rung(0, 0)).await;
    assert!(matches!(wrong, Err(DatabaseError::Invalid { .. })), "{wrong:?}");
}
