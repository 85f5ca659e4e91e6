#%% /app/main.js
#!/usr/bin/env -S node --enable-source-maps
console.log(1)
