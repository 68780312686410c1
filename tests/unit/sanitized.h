// Sanitized builds are slow: SANITIZED is defined there, and SLOWER says how many times they may take what
// others do.
#ifndef RTM_TESTS_SANITIZED_H
#define RTM_TESTS_SANITIZED_H

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#ifdef SANITIZED
enum { SLOWER = 10 };
#else
enum { SLOWER = 1 };
#endif

#endif
