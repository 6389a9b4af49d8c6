// Runs a kernel's blocks one after another, and the threads of a block in turns: each is a fiber with a stack of its
// own, which goes on until it waits at a barrier. Where a kernel has none, threads are a loop.
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct Three { unsigned x, y, z; };
extern "C" {
Three threadIdx, blockIdx, blockDim, gridDim;
}

namespace {
enum { READY, AT_BARRIER, AT_WARP, DONE };
const int MOST = 1024, STACK = 256 << 10;
struct Fiber { jmp_buf at; int state, line; bool made; } fibers[MOST];
char *stacks, exchange[8 * MOST];
jmp_buf runner, out;
ucontext_t here, fresh;
int now, fault[3];  // what is wrong (0 for nothing), its line or argument, and a number that goes with it
const char *const *memory, *stack_top;  // (from, to, where its allocation begins) of each argument that is an array
int pieces, ordered;
const char *const *image;  // (from, to) of the kernel's shared memory, (from, to) of its library
void (*the_call)(void **);
void **the_args;

void give_up(int what, int line, int many) {
  fault[0] = what, fault[1] = line, fault[2] = many;
  _longjmp(out, 1);
}

const char *const *whose(const char *at, size_t n, const void *site) {
  static unsigned short lately[256];  // which one the code at `site` met last: most likely the same again
  unsigned short &guess = lately[(uintptr_t)site >> 2 & 255];
  const auto holds = [&](int i) { return i < pieces && memory[3 * i] <= at && at + n <= memory[3 * i + 1]; };
  if (holds(guess)) return memory + 3 * guess;
  int i = 0, end = pieces;
  if (ordered)  // the last that begins at `at` or before
    while (end - i > 1) (memory[3 * ((i + end) / 2)] <= at ? i : end) = (i + end) / 2;
  for (; i < end; i++)
    if (holds(i)) return guess = (unsigned short)i, memory + 3 * i;
  return 0;
}

// Every load and store asks here whether its bytes are an argument's, the stack's, or this library's own.
inline __attribute__((always_inline)) void look(const char *at, size_t n, int what) {
  const char *here = (const char *)__builtin_frame_address(0);
  if (!pieces || (here <= at && at < stack_top)) return;  // a thread's own stack
  if (stacks && stacks <= at && at < stacks + (size_t)MOST * STACK) return;
  if ((image[2] <= at && at < image[3]) || (exchange <= at && at < exchange + sizeof exchange)) return;
  if (whose(at, n, __builtin_return_address(0))) return;
  long nearest = 0, argument = 0;
  for (int i = 0; i < pieces; i++) {
    const long from = at - memory[3 * i], behind = at - memory[3 * i + 1];
    const long gap = from < 0 ? -from : behind;
    if (!i || gap < nearest) nearest = gap, argument = i;
  }
  const long offset = at - memory[3 * argument];
  give_up(what, (int)argument, (int)(offset > INT32_MAX ? INT32_MAX : offset < INT32_MIN ? INT32_MIN : offset));
}

void wait(int state, int line) {
  fibers[now].state = state, fibers[now].line = line;
  if (!_setjmp(fibers[now].at)) _longjmp(runner, 1);
}

void life() {  // of one fiber: a thread of every block in turn
  for (;;) {
    the_call(the_args);
    wait(DONE, 0);
  }
}

void place(int t) {
  now = t;
  threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

void go_on(int t) {
  place(t);
  if (_setjmp(runner)) return;
  Fiber &f = fibers[t];
  f.state = READY;
  if (f.made) _longjmp(f.at, 1);
  f.made = true;
  getcontext(&fresh);
  fresh.uc_stack.ss_sp = stacks + (size_t)t * STACK, fresh.uc_stack.ss_size = STACK, fresh.uc_link = 0;
  makecontext(&fresh, life, 0);
  setcontext(&fresh);
}

bool released(int from, int to, int state) {  // they all wait at one barrier: on with them
  for (int t = from; t < to; t++) {
    if (fibers[t].state != state) return false;
    if (fibers[t].line != fibers[from].line) give_up(2, fibers[t].line, fibers[from].line);
  }
  for (int t = from; t < to; t++) fibers[t].state = READY;
  return true;
}

void block_of_fibers(int threads, bool reverse) {
  for (int t = 0; t < threads; t++) fibers[t].state = READY;
  for (;;) {
    int done = 0, waiting = 0, line = 0;
    for (int i = 0; i < threads; i++) {
      const int t = reverse ? threads - 1 - i : i;
      if (fibers[t].state == READY) go_on(t);
    }
    for (int t = 0; t < threads; t++) {
      if (fibers[t].state == DONE) done++;
      else waiting++, line = fibers[t].line;
    }
    if (done == threads) return;
    bool on = released(0, threads, AT_BARRIER);
    for (int t = 0; t < threads; t += 32) on |= released(t, t + 32 < threads ? t + 32 : threads, AT_WARP);
    if (!on) give_up(1, line, waiting);
  }
}
}  // namespace

extern "C" {
void host_barrier(int line, int of_warp) { wait(of_warp ? AT_WARP : AT_BARRIER, line); }
char *host_exchange() { return exchange; }
int host_thread() { return now; }

// What g++ -fsanitize=alignment,bounds,null calls; the data begin with {file, line, column}. A GPU's allocations begin at
// multiples of 256 bytes and a host's may not, so an argument's alignment counts from where its allocation begins.
struct Mismatch { const char *file; uint32_t line, column; const void *type; unsigned char log_alignment; };
void __ubsan_handle_type_mismatch_v1(const Mismatch *found, const char *at) {
  if (!at) give_up(4, (int)found->line, 0);
  const char *const *mine = whose(at, 1, found);
  const uintptr_t offset = mine ? (uintptr_t)(at - mine[2]) : (uintptr_t)at;
  const uintptr_t wanted = (uintptr_t)1 << found->log_alignment;
  if (offset % (pieces || wanted < 16 ? wanted : 16)) give_up(3, (int)found->line, 0);
}
void __ubsan_handle_out_of_bounds(const uint32_t *data, uintptr_t index) { give_up(5, (int)data[2], (int)index); }

// What g++ -fsanitize=kernel-address calls.
#define ACCESS(n) \
  void __asan_load##n##_noabort(const char *at) { look(at, n, 6); } \
  void __asan_store##n##_noabort(const char *at) { look(at, n, 7); }
ACCESS(1) ACCESS(2) ACCESS(4) ACCESS(8) ACCESS(16)
void __asan_loadN_noabort(const char *at, size_t n) { look(at, n, 6); }
void __asan_storeN_noabort(const char *at, size_t n) { look(at, n, 7); }
void __asan_handle_no_return() {}

const int *host_launch(void (*call)(void **), void **args, const unsigned *grid, const unsigned *block, int reverse,
                       int with_fibers, const char *const *ranges, int count, int in_order,
                       const char *const *image_of_kernel) {
  const int threads = (int)(block[0] * block[1] * block[2]);
  const unsigned long long blocks = (unsigned long long)grid[0] * grid[1] * grid[2];
  gridDim = {grid[0], grid[1], grid[2]}, blockDim = {block[0], block[1], block[2]};
  the_call = call, the_args = args, image = image_of_kernel;
  memory = ranges, pieces = count, ordered = in_order;
  stack_top = with_fibers ? 0 : (const char *)__builtin_frame_address(0);  // fibers have their own
  memset(fault, 0, sizeof fault);
  if (!stacks)
    stacks = (char *)mmap(0, (size_t)MOST * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
  if (!_setjmp(out)) {
    for (unsigned long long i = 0; i < blocks; i++) {
      const unsigned long long b = reverse ? blocks - 1 - i : i;
      blockIdx = {(unsigned)(b % grid[0]), (unsigned)(b / grid[0] % grid[1]), (unsigned)(b / grid[0] / grid[1])};
      if (image[0]) memset((void *)image[0], 0xff, (size_t)(image[1] - image[0]));  // NaN, -1: nobody wrote it yet
      if (with_fibers) block_of_fibers(threads, reverse);
      else for (int t = 0; t < threads; t++) place(reverse ? threads - 1 - t : t), call(args);
    }
  } else {
    for (Fiber &fiber : fibers) fiber.made = false;  // some were left in the middle of a block
  }
  return fault;
}
}
