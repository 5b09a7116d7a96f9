//! How this process asks the system for memory.

/// Memory that is asked for at once: no more than the allocator takes from its heap instead of asking for a mapping of its own.
const ROOM: usize = 31 << 20;

/// What is asked for in large pages begins and ends at a multiple of this.
const LARGE: usize = 2 << 20;

/// From here on this process is given memory in large pages where the system has them, and gives none back before it ends. For commands
/// that hold many thousand values at once and live for a blink: of their time a tenth is the system's, handing out small pages one by
/// one. Room that is not used costs nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator and the system are told what to do with memory that is nobody's yet")]
pub(crate) fn in_large_pages() {
    // SAFETY: `mallopt` changes numbers of the allocator, under its own lock.
    let is_set = unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20) == 1 && libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX) == 1
    };
    let mut room: Vec<u8> = Vec::new();
    if !is_set || room.try_reserve_exact(ROOM).is_err() {
        return;
    }
    let start = room.as_ptr().addr();
    let (from, to) = (start.next_multiple_of(LARGE), (start + ROOM) / LARGE * LARGE);
    // SAFETY: the range lies in room that was just reserved and holds nothing; the advice changes no content and no access.
    unsafe { libc::madvise(room.as_mut_ptr().with_addr(from).cast(), to - from, libc::MADV_HUGEPAGE) };
}

/// As above, where nothing is known of the allocator: nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn in_large_pages() {}
