//! Claims, counted and told to whoever runs the program.

use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hprintln;

/// How many claims held, and how many did not.
#[derive(Debug, Default)]
pub struct Checks {
    passed: u32,
    failed: u32,
}

impl Checks {
    /// Counts a claim, and prints it.
    pub fn check(&mut self, claim: &str, holds: bool) {
        if holds {
            self.passed += 1;
            hprintln!("ok      {}", claim);
        } else {
            self.failed += 1;
            hprintln!("FAILED  {}", claim);
        }
    }

    /// Says how many there were, and ends the emulation.
    pub fn finish(self) -> ! {
        hprintln!("bare-metal: {} passed, {} failed", self.passed, self.failed);
        debug::exit(if self.failed == 0 { EXIT_SUCCESS } else { EXIT_FAILURE });
        loop {
            cortex_m::asm::wfi();
        }
    }
}
