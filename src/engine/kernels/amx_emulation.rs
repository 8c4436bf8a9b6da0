//! Tile instructions for tests, on machines that have none: the handler of SIGILL reads the instruction
//! and does what Intel's manual says of it (volume 2: LDTILECFG, TILELOADD, TILESTORED, TILEZERO,
//! TILERELEASE, TDPBSSD), one byte and one sum at a time. Here and in no program that ships.

use std::cell::Cell;
use std::sync::Once;

/// One tile: 16 rows of 64 bytes.
type TileBytes = [[u8; 64]; 16];

thread_local! {
    static TILES: Cell<[TileBytes; 8]> = const { Cell::new([[[0; 64]; 16]; 8]) };
    /// Bytes of a row and rows of each tile, by LDTILECFG; none after TILERELEASE.
    static SHAPES: Cell<Option<[(usize, usize); 8]>> = const { Cell::new(None) };
}

/// Registers in the order of their numbers in machine code, as indices of `gregs` (Linux, sys/ucontext.h).
const REGISTERS: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// From now on tile instructions of this process are carried out here.
pub(super) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // SAFETY: a zeroed sigaction is one; the handler touches what its instruction names, and cells of
        // its own thread.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_sigill as *const () as usize;
            // On the stack of its thread: alternative ones are too small for copies of the tiles.
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut()), 0);
        }
    });
}

extern "C" fn on_sigill(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: SA_SIGINFO hands over the context of the thread that met the instruction; what it cannot be
    // is refused with the default action, by coming back to the same instruction.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let rip = registers[libc::REG_RIP as usize];
        match carry_out(rip as *const u8, registers) {
            Some(length) => registers[libc::REG_RIP as usize] = rip + length,
            None => {
                libc::signal(libc::SIGILL, libc::SIG_DFL);
            }
        }
    }
}

/// Carries out the instruction at `at` and says how long it is; none where it is no tile instruction.
///
/// # Safety
/// `at` is code, and the memory that the instruction names is there.
unsafe fn carry_out(at: *const u8, registers: &[libc::greg_t; 23]) -> Option<i64> {
    // SAFETY: no instruction here is longer, and code is followed by more.
    let code: [u8; 11] = unsafe { at.cast::<[u8; 11]>().read_unaligned() };
    // VEX.128.0F38.W0 (volume 2, section 2.3): inverted R, X, B; inverted fourth operand; prefix.
    if code[0] != 0xc4 || code[1] & 0x1f != 2 || code[2] & 0x84 != 0 {
        return None;
    }
    let inverted = |bit: u8| usize::from(code[1] & bit == 0) * 8;
    let (x_bit, b_bit) = (inverted(0x40), inverted(0x20));
    let third = usize::from(!(code[2] >> 3) & 15);
    let (prefix, opcode, modrm) = (code[2] & 3, code[3], code[4]);
    let (first, second) = (usize::from(modrm >> 3 & 7), usize::from(modrm & 7));
    let in_memory = modrm >> 6 != 3;
    let register = |number: usize| registers[REGISTERS[number] as usize];
    let mut length = 5;
    // Where memory is named: the address of row 0, and the distance of rows for the two that have one.
    let (mut base, mut stride) = (0, 0);
    if in_memory {
        base = match second {
            4 => {
                let sib = code[5];
                length += 1;
                stride = register(usize::from(sib >> 3 & 7) + x_bit) << (sib >> 6);
                register(usize::from(sib & 7) + b_bit)
            }
            _ => register(second + b_bit),
        };
        let at = length as usize;
        match modrm >> 6 {
            1 => {
                base += i64::from(code[at] as i8);
                length += 1;
            }
            2 => {
                base += i64::from(i32::from_le_bytes(*code[at..].first_chunk()?));
                length += 4;
            }
            _ => {}
        }
    }
    let mut tiles = TILES.get();
    match (opcode, prefix, in_memory) {
        (0x49, 0, true) => {
            // SAFETY: LDTILECFG names 64 bytes.
            let config = unsafe { (base as *const [u8; 64]).read() };
            assert_eq!(config[..2], [1, 0], "palette 1, from row 0");
            let shape = |t: usize| {
                let bytes = u16::from_le_bytes([config[16 + 2 * t], config[17 + 2 * t]]);
                (usize::from(bytes), usize::from(config[48 + t]))
            };
            SHAPES.set(Some(std::array::from_fn(shape)));
            tiles = [[[0; 64]; 16]; 8];
        }
        (0x49, 0, false) => {
            SHAPES.set(None);
            tiles = [[[0; 64]; 16]; 8];
        }
        (0x49, 3, false) => {
            SHAPES.get()?;
            tiles[first] = [[0; 64]; 16];
        }
        (0x4b, 3, true) => {
            let (bytes, rows) = SHAPES.get()?[first];
            tiles[first] = [[0; 64]; 16];
            for (r, row) in tiles[first].iter_mut().take(rows).enumerate() {
                let from = (base + r as i64 * stride) as *const u8;
                // SAFETY: TILELOADD reads that many bytes of that many rows.
                unsafe { std::ptr::copy_nonoverlapping(from, row.as_mut_ptr(), bytes) };
            }
        }
        (0x4b, 2, true) => {
            let (bytes, rows) = SHAPES.get()?[first];
            for (r, row) in tiles[first].iter().take(rows).enumerate() {
                let to = (base + r as i64 * stride) as *mut u8;
                // SAFETY: TILESTORED writes that many bytes of that many rows.
                unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), to, bytes) };
            }
        }
        (0x5e, 3, false) => {
            let shapes = SHAPES.get()?;
            let ((n, m), k) = (shapes[first], shapes[second].0 / 4);
            let (a, b) = (tiles[second], tiles[third]);
            for (r, row) in tiles[first].iter_mut().take(m).enumerate() {
                for (column, sum) in row[..n].as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let mut total = i32::from_le_bytes(*sum);
                    for j in 0..4 * k {
                        let (x, w) = (a[r][j], b[j / 4][column * 4 + j % 4]);
                        total = total.wrapping_add(i32::from(x as i8) * i32::from(w as i8));
                    }
                    *sum = total.to_le_bytes();
                }
            }
        }
        _ => return None,
    }
    TILES.set(tiles);
    Some(length)
}
