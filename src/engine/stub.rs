//! temp
use super::Request; use crate::base::*; use std::path::Path; use std::sync::Arc;
pub const NUMBER_RULES: u32 = 1;
pub fn tier() -> &'static str { "x" }
#[derive(Default)] pub struct Settings { pub threads: usize, pub slots: usize, pub memory_bytes: u64, pub context_tokens: usize, pub date: String, pub x: u8 }
#[derive(Debug, serde::Serialize)] pub struct ModelFacts { pub tokenizer: Digest, pub template: Digest }
pub struct EngineProgress { pub waiting: usize, pub running: usize, pub prompt_tokens_done: u64, pub shared_tokens: u64, pub answer_tokens: u64, pub steps: u64, pub rows: u64 }
pub struct Engine;
pub fn open_counter(_: &Path) -> Result<Arc<dyn TokenCounter>, String> { todo!() }
pub fn inspect(_: &Path, _: &Settings) -> Result<(ModelFacts, Result<u64, String>), String> { todo!() }
impl Engine {
 pub fn load(_: &Path, _: &Settings, _: &mut dyn FnMut(u64,u64)) -> Result<Engine, String> { todo!() }
 pub fn facts(&self) -> ModelFacts { todo!() }
 pub fn counter(&self) -> Arc<dyn TokenCounter> { todo!() }
 pub fn submit(&mut self, _: Request) -> Result<(), String> { todo!() }
 pub fn step(&mut self) -> Vec<Completion> { todo!() }
 pub fn idle(&self) -> bool { todo!() }
 pub fn cancel_waiting(&mut self) -> Vec<u64> { todo!() }
 pub fn progress(&self) -> EngineProgress { todo!() }
}
