//! A task is learned in every script, also in those that put no spaces between words.

use burn::module::Module;
use burn::tensor::Device;
use proxmo::Result;
use proxmo::env::{Environment, Session, Texts, Transition};
use proxmo::policy::scorer::{Scorer, ScorerConfig};
use proxmo::policy::{PolicyKind, PolicySpec};
use proxmo::train::{Config, EvaluationPlan, Trainer, evaluate};

use crate::support::balls::Balls;

/// English words, with their Chinese and Thai counterparts.
const WORDS: [(&str, &str, &str); 21] = [
    ("put", "放", "ใส่"),
    ("take", "拿", "หยิบ"),
    ("drop", "丢", "ทิ้ง"),
    ("in", "进", "ลงใน"),
    ("ball", "球", "ลูกบอล"),
    ("balls", "球", "ลูกบอล"),
    ("box", "箱", "กล่อง"),
    ("jar", "罐", "โถ"),
    ("table", "桌子", "โต๊ะ"),
    ("you", "你", "คุณ"),
    ("hold", "握着", "ถือ"),
    ("lie", "躺", "อยู่"),
    ("back", "回", "กลับ"),
    ("red", "红", "แดง"),
    ("blue", "蓝", "น้ำเงิน"),
    ("green", "绿", "เขียว"),
    ("gold", "金", "ทอง"),
    ("grey", "灰", "เทา"),
    ("pink", "粉", "ชมพู"),
    ("black", "黑", "ดำ"),
    ("white", "白", "ขาว"),
];

#[derive(Clone, Copy)]
enum Language {
    English,
    Chinese,
    Thai,
}

impl Language {
    fn translate(self, text: &str) -> String {
        let column = |&(_, chinese, thai): &(&str, &'static str, &'static str)| match self {
            Self::English => "",
            Self::Chinese => chinese,
            Self::Thai => thai,
        };
        match self {
            Self::English => text.to_string(),
            _ => text
                .split(' ')
                .filter_map(|word| WORDS.iter().find(|row| row.0 == word).map(column))
                .collect(),
        }
    }
}

/// [`Balls`] in another language.
struct Translated {
    balls: Balls,
    language: Language,
}

struct TranslatedSession {
    inner: Box<dyn Session>,
    language: Language,
    goal: String,
}

impl Environment for Translated {
    fn name(&self) -> &str {
        self.balls.name()
    }

    fn tasks(&self) -> usize {
        self.balls.tasks()
    }

    fn task_name(&self, task: usize) -> &str {
        self.balls.task_name(task)
    }

    fn task_kind(&self, task: usize) -> usize {
        self.balls.task_kind(task)
    }

    fn kinds(&self) -> Vec<String> {
        self.balls.kinds()
    }

    fn max_steps(&self) -> usize {
        self.balls.max_steps()
    }

    fn start(&self, task: usize, seed: u64) -> Result<Box<dyn Session>> {
        let inner = self.balls.start(task, seed)?;
        let goal = self.language.translate(inner.goal());
        Ok(Box::new(TranslatedSession { inner, language: self.language, goal }))
    }
}

impl Session for TranslatedSession {
    fn goal(&self) -> &str {
        &self.goal
    }

    fn observe(&self, out: &mut String) {
        let mut text = String::new();
        self.inner.observe(&mut text);
        out.push_str(&self.language.translate(&text));
    }

    fn admissible(&self, out: &mut Texts) {
        let mut texts = Texts::new();
        self.inner.admissible(&mut texts);
        texts.iter().for_each(|text| out.push(&self.language.translate(text)));
    }

    fn step(&mut self, action: &str) -> Result<Transition> {
        let (mut shown, mut meant) = (Texts::new(), Texts::new());
        self.admissible(&mut shown);
        self.inner.admissible(&mut meant);
        let action = shown.position(action).and_then(|place| meant.get(place));
        self.inner.step(action.unwrap_or_default())
    }
}

/// Success after training with the default settings, on fewer episodes.
fn trained_success(language: Language) -> f64 {
    const ITERATIONS: u64 = 40;
    let environment = Translated { balls: Balls { tasks: 16, max_steps: 8 }, language };
    let mut config = Config::default();
    config.run.iterations = ITERATIONS;
    config.rollout.groups = 8;
    config.rollout.group_size = 8;
    let device = Device::flex().autodiff();
    let spec = ScorerConfig::default().spec(&environment, config.run.seed).unwrap();
    let (scorer, encoder) = spec.build(config.run.seed, &device).unwrap();
    let mut trainer: Trainer<Scorer> = Trainer::new(config, scorer, encoder);
    for done in 0..ITERATIONS {
        trainer.iterate(&environment, done as f64 / ITERATIONS as f64).unwrap();
    }
    let tasks: Vec<usize> = (0..environment.tasks()).collect();
    let plan = EvaluationPlan::new(&tasks);
    let policy = trainer.learner.policy.valid();
    let evaluation = evaluate(&environment, &policy, &trainer.encoder, &plan, &mut |_| ()).unwrap();
    evaluation.overall().success
}

#[test]
fn a_task_in_chinese_and_in_thai_is_learned_as_in_english() {
    for (name, language) in
        [("English", Language::English), ("Chinese", Language::Chinese), ("Thai", Language::Thai)]
    {
        let success = trained_success(language);
        assert!(success >= 0.9, "{name}: {success}");
    }
}
