// What NVRTC gives a kernel, as far as the kernels use it, for a C++ compiler on a host. No system header is open to
// them, as there is none under NVRTC: a kernel that names int32_t, std:: or printf does not build here either.
#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_memory")))
extern char host_shared_from[] __asm("__start_shared_memory") __attribute__((weak, visibility("hidden")));
extern char host_shared_to[] __asm("__stop_shared_memory") __attribute__((weak, visibility("hidden")));
extern "C" char __ehdr_start[] __attribute__((visibility("hidden"))), _end[] __attribute__((visibility("hidden")));

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
extern "C" uint3 threadIdx, blockIdx;
extern "C" dim3 blockDim, gridDim;
constexpr int warpSize = 32;

#define VECTORS(type, name) \
  struct alignas(2 * sizeof(type)) name##2 { type x, y; }; \
  struct alignas(sizeof(type) < 8 ? 4 * sizeof(type) : 16) name##4 { type x, y, z, w; }; \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
VECTORS(float, float) VECTORS(double, double) VECTORS(int, int) VECTORS(unsigned, uint) VECTORS(unsigned char, uchar)
#undef VECTORS

// ---------------------------------------------------------------- waiting for each other (cuda_on_host.cpp)
extern "C" void host_barrier(int line, int of_warp);
extern "C" char *host_exchange();  // eight bytes for every thread of the block
extern "C" int host_thread();      // this thread's number in its block
#define __syncthreads() host_barrier(__LINE__, 0)
#define __syncwarp(...) host_barrier(__LINE__, 1)

template <class V> V host_shuffle(int line, V value, int lane) {  // of whole warps, which CUDA's mask must say too
  const int me = host_thread(), from = lane < 0 || lane > 31 ? me : me / 32 * 32 + lane;
  V got;
  __builtin_memcpy(host_exchange() + 8 * me, &value, sizeof(V));
  host_barrier(line, 1);
  __builtin_memcpy(&got, host_exchange() + 8 * from, sizeof(V));
  host_barrier(line, 1);
  return got;
}
#define __shfl_sync(mask, value, lane) host_shuffle(__LINE__, value, (lane) % 32)
#define __shfl_down_sync(mask, value, by) host_shuffle(__LINE__, value, host_thread() % 32 + (by))
#define __shfl_up_sync(mask, value, by) host_shuffle(__LINE__, value, host_thread() % 32 - (by))
#define __shfl_xor_sync(mask, value, by) host_shuffle(__LINE__, value, host_thread() % 32 ^ (by))

// Blocks run one after another here. There is no float atomicAdd: the order of its sum would be chance.
inline void __threadfence() {}
inline void __threadfence_block() {}
template <class I> I atomicAdd(I *at, I by) {
  static_assert(I(1) / 2 == 0, "integers only");
  const I old = *at;
  *at = old + by;
  return old;
}

// ---------------------------------------------------------------- mathematics: overloaded, as in CUDA C++
#define ONE(name) \
  extern "C" double name(double); \
  extern "C" float name##f(float); \
  inline float name(float x) { return name##f(x); }
#define TWO(name) \
  extern "C" double name(double, double); \
  extern "C" float name##f(float, float); \
  inline float name(float x, float y) { return name##f(x, y); }
ONE(sqrt) ONE(exp) ONE(log) ONE(exp2) ONE(log2) ONE(expm1) ONE(log1p) ONE(sin) ONE(cos) ONE(tanh) ONE(erf) ONE(fabs)
ONE(floor) ONE(ceil) ONE(rint) ONE(round) ONE(trunc)
TWO(pow) TWO(fmax) TWO(fmin) TWO(fmod) TWO(copysign)
#undef ONE
#undef TWO
inline double fma(double x, double y, double z) { return __builtin_fma(x, y, z); }
inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline float fmaf(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline int abs(int x) { return x < 0 ? -x : x; }
inline long long abs(long long x) { return x < 0 ? -x : x; }
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return fabs(x); }
inline bool isnan(double x) { return __builtin_isnan(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x); }

#define WHOLE(type) \
  inline type min(type a, type b) { return a < b ? a : b; } \
  inline type max(type a, type b) { return a > b ? a : b; }
WHOLE(int) WHOLE(unsigned) WHOLE(long) WHOLE(unsigned long) WHOLE(long long) WHOLE(unsigned long long)
#undef WHOLE
inline float min(float a, float b) { return fmin(a, b); }
inline float max(float a, float b) { return fmax(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

// ---------------------------------------------------------------- bits and words
template <class V> V __ldg(const V *at) { return *at; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class To, class From> To host_bits(From x) {
  static_assert(sizeof(To) == sizeof(From), "as many bits");
  To y;
  __builtin_memcpy(&y, &x, sizeof y);
  return y;
}
inline int __float_as_int(float x) { return host_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return host_bits<unsigned>(x); }
inline float __int_as_float(int x) { return host_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return host_bits<float>(x); }
inline long long __double_as_longlong(double x) { return host_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return host_bits<double>(x); }

// ---------------------------------------------------------------- how the runner calls a kernel: as cuLaunchKernel does
template <class V> struct host_value { static constexpr int pointer = 0; typedef V at; };
template <class V> struct host_value<const V> : host_value<V> {};
template <class V> struct host_value<V *> { static constexpr int pointer = 1; typedef V at; };
template <class V> struct host_value<V *const> : host_value<V *> {};
template <class V> struct host_kind { static constexpr int is = 's', size = sizeof(V); };
template <class V> struct host_kind<const V> : host_kind<V> {};
template <> struct host_kind<void> { static constexpr int is = 's', size = 0; };
#define KIND(type, letter) template <> struct host_kind<type> { static constexpr int is = letter, size = sizeof(type); };
KIND(bool, 'b') KIND(float, 'f') KIND(double, 'f') KIND(signed char, 'i') KIND(short, 'i') KIND(int, 'i') KIND(long, 'i')
KIND(long long, 'i') KIND(unsigned char, 'u') KIND(unsigned short, 'u') KIND(unsigned, 'u') KIND(unsigned long, 'u')
KIND(unsigned long long, 'u')
#undef KIND
template <int... I> struct host_numbers {};
template <int N, int... I> struct host_count : host_count<N - 1, N - 1, I...> {};
template <int... I> struct host_count<0, I...> { typedef host_numbers<I...> to; };
template <class... A, int... I>
__attribute__((no_sanitize("kernel-address"))) void host_run(void (*kernel)(A...), void **args, host_numbers<I...>) {
  kernel(*(A *)args[I]...);
}
template <class... A> void host_call(void (*kernel)(A...), void **args) {
  host_run(kernel, args, typename host_count<sizeof...(A)>::to());
}
template <class... A> const int *host_signature(void (*)(A...)) {
  typedef int row;
  static const row rows[] = {(int)sizeof...(A), (host_value<A>::pointer)...,
                             (host_kind<typename host_value<A>::at>::is)...,
                             (host_kind<typename host_value<A>::at>::size)...};
  return rows;
}
