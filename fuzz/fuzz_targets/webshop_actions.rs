//! Actions of a WebShop session, one a line, in a shop of two products.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use proxmo::env::webshop::{Flavour, WebShop, WebShopConfig, verl};
use proxmo::env::{Session, Texts};

const CATALOGUE: &[u8] = include_bytes!("../seeds/webshop_catalogue/two");

fn shops() -> &'static [WebShop; 2] {
    static SHOPS: OnceLock<[WebShop; 2]> = OnceLock::new();
    SHOPS.get_or_init(|| {
        let files: Vec<&[u8]> = CATALOGUE.split(|&byte| byte == b'\x1e').collect();
        [Flavour::WebShop, Flavour::Verl].map(|flavour| {
            let config = WebShopConfig { flavour, ..Default::default() };
            let shop =
                WebShop::from_json(files[0], files[1], Some(files[2]), Some(files[3]), config);
            shop.expect("the catalogue is valid")
        })
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = proxmo_fuzz::text(bytes) else { return };
    let (mut observation, mut clickables) = (String::new(), Texts::new());
    for shop in shops() {
        let mut session = shop.session(0, 0).expect("there is a goal");
        for action in text.split('\n') {
            // A response is an action in other words.
            session.step(&verl::project(action).action).expect("a step never fails");
            session.step(action).expect("a step never fails");
            observation.clear();
            clickables.clear();
            session.observe(&mut observation);
            session.clickables(&mut clickables);
            assert!(!session.anchor().is_empty() && !observation.is_empty());
        }
    }
});
