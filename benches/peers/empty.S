// The least that a chain program can cost: a static program without a C library,
// which only executes its arguments. Exit status 111 if that fails.

        .globl  _start
_start:
#if defined __x86_64__
        mov     (%rsp), %rcx            // argc
        mov     16(%rsp), %rdi          // argv[1]
        lea     16(%rsp), %rsi          // argv + 1
        lea     16(%rsp, %rcx, 8), %rdx // envp
        mov     $59, %eax               // execve
        syscall
        mov     $111, %edi
        mov     $60, %eax               // exit
        syscall
#elif defined __aarch64__
        ldr     x9, [sp]                // argc
        ldr     x0, [sp, #16]           // argv[1]
        add     x1, sp, #16             // argv + 1
        add     x2, x1, x9, lsl #3      // envp
        mov     x8, #221                // execve
        svc     #0
        mov     x0, #111
        mov     x8, #93                 // exit
        svc     #0
#else
#error "no empty program for this architecture"
#endif
        .section .note.GNU-stack, "", %progbits
