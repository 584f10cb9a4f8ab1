/** Whether code-server's Node exists for this machine: a package for Linux on x64 alone. */
export const hasCodeServer: boolean;
