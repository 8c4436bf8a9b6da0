
mod pdf;
