mod audit;
mod audit_crash;
mod audit_disk;
mod audit_night;
mod output;
